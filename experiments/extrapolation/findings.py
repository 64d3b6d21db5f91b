"""Tables 1, 2, 4, 8 to 11 and figure 3 beside ours."""

import csv

from experiments.reading import rows
from experiments.summary import Finding

# Means over the targets of the paper's tables: simple, additive, joint, full.
_PAPER = {
    ("text", "fitted"): ".57 / .49 / .37 / .36",
    ("text", "larger"): "1.70 / 1.39 / 1.30 / 1.21",
    ("multimodal", "fitted"): ".30 / .24 / .21 / .21",
    ("multimodal", "larger"): ".70 / .62 / .58 / .60",
    ("vision", "fitted"): ".88 / 1.02 / .43 / .39",
    ("vision", "larger"): "2.31 / 2.55 / 2.21 / 2.04",
    ("text, two sizes ahead", "fitted"): ".37 / .29 / .17 / .16",
    ("text, two sizes ahead", "next"): ".89 / .83 / .32 / .34",
    ("text, two sizes ahead", "larger"): "1.71 / 1.26 / .90 / 1.00",
}
_PAPER |= {("RedPajama", part): _PAPER["text", part] for part in ("fitted", "larger")}
_ITEMS = {
    "text": "Table 8, LLM",
    "multimodal": "Table 9, NMM",
    "vision": "Table 10, LVM",
    "text, two sizes ahead": "Table 11, LLM with two held-out sizes",
    "RedPajama": "Table 8, published LLM runs",
}
_PARTS = {"fitted": "fitted rows", "next": "the next size", "larger": "the largest size"}
_TABLE2 = {
    "text": "fitted .29-.92 / .24-.57, held out .31-4.45 / .34-2.51",
    "multimodal": "fitted .12-.47 / .10-.43, held out .44-.95 / .37-.95",
    "vision": "fitted .35-1.89 / .23-.83, held out .79-6.19 / .63-5.94",
}
_TABLE2["RedPajama"] = _TABLE2["text"]


def findings(results):
    """One line for every table and part, from the result files."""
    averages = rows(results / "averages.csv")
    found = [_table1(results)]
    found += [_table2(results, table, paper) for table, paper in _TABLE2.items()]
    found += [_table4(averages), _figure3(results)]
    for table, part in _PAPER:
        own = [r for r in averages if (r["table"], r["rows_are"]) == (table, part)]
        if own:
            what = f"mean relative error, {_PARTS[part]}: simple / additive / joint / full"
            ours = " / ".join(f"{float(r['mean_mre']):.2f}" for r in own)
            found.append(Finding(_ITEMS[table], what, _PAPER[table, part], ours + "%", _why(own)))
    return [f for f in found if f]


def _table1(results):
    with (results / "setup.csv").open(newline="") as file:
        made = list(csv.DictReader(file))
    ours = "; ".join(
        f"{r['table']} {r['rows_are']}: N {_span(r['n_params'].split())}, "
        f"D to {_short(float(r['most_tokens']))}, {r['mixtures']} mixtures"
        for r in made
        if "ahead" not in r["table"]
    )
    paper = "LLM 412M-1.4B to 3B, D to 100B, 20-60 mixtures; NMM 106M-932M to 8B, 30-34; "
    paper += "LVM 89M-531M to 1.1B, 15-32; 4 to 12 held-out mixtures"
    return Finding("Table 1", "sizes, tokens, mixtures", paper, ours, "Two CPU cores trained ours.")


def _span(sizes):
    return "-".join(dict.fromkeys(_short(float(n)) for n in (sizes[0], sizes[-1])))


def _short(number):
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


def _table2(results, table, paper):
    """The range over targets of both laws."""
    own = rows(results / "targets.csv", table=table)
    if not own:
        return None
    parts = []
    for part, name in (("fitted", "fitted"), ("larger", "held out")):
        ends = []
        for law in ("additive", "joint"):
            errors = [float(r["mre"]) for r in own if (r["law"], r["rows_are"]) == (law, part)]
            ends.append(f"{min(errors):.2f}-{max(errors):.2f}")
        parts.append(f"{name} {' / '.join(ends)}")
    what = f"{table}: error over targets, additive / joint"
    return Finding("Table 2", what, paper + "%", ", ".join(parts) + "%")


def _table4(averages):
    """Which law predicts each family's largest size best."""
    parts = []
    for table in ("text", "multimodal", "vision", "RedPajama"):
        own = [r for r in averages if (r["table"], r["rows_are"]) == (table, "larger")]
        if own:
            best = min(own, key=lambda r: float(r["mean_mre"]))
            parts.append(f"{table}: {best['law']} ({float(best['mean_mre']):.2f}%)")
    paper = "LLM full (1.21%), NMM joint (.58%), LVM full (2.04%)"
    return Finding(
        "Table 4", "law with the least error on the largest size", paper, "; ".join(parts)
    )


def _figure3(results):
    """How predictions order the losses of the largest size."""
    parts = []
    for table in ("text", "multimodal", "vision", "RedPajama"):
        means = []
        for law in ("additive", "joint"):
            own = rows(results / "targets.csv", table=table, law=law, rows_are="larger")
            means += [f"{sum(float(r['spearman']) for r in own) / len(own):.3f}"] if own else []
        parts += [f"{table} {' / '.join(means)}"] if means else []
    what = "rank correlation of observed and predicted losses of the largest size, additive / joint"
    return Finding("Figure 3", what, "predictions align with observations", "; ".join(parts))


def _why(own):
    """Said of our noisy fitted rows, and where the richer laws are worse on the held-out size."""
    if own[0]["rows_are"] == "fitted" and own[0]["table"] != "RedPajama":
        return "Early checkpoints of tiny, noisy runs are fitted."
    errors = {r["law"]: float(r["mean_mre"]) for r in own}
    if own[0]["rows_are"] == "fitted" or min(errors, key=errors.get) in ("joint", "full"):
        return ""
    return "The richer laws fit better and predict worse: too few mixtures for their parameters."
