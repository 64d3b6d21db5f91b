"""The table of all experiments, rebuilt from their result files: ``make results``.

Every experiment has a ``findings.py`` with ``findings(results)``, which reads the files in its
``results`` folder and returns `Finding`s: what the paper has, and what came out here.
"""

import importlib
import json
import pathlib
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
HEAD = """\
# Experiments: the papers' tables and figures, and ours

Each folder holds what it takes to make its results again: `README.md` (command, time, what to
expect, what came out), `run.py`, its configuration, and `results/`. Every experiment has
`--smoke`, which runs the same code in seconds on tiny data. Paper: Shukor et al. 2025, *Scaling
Laws for Optimal Data Mixtures*; "Ye et al." is *Data Mixing Laws*, 2024. Their models have up to
8 billion parameters; ours were trained on two CPU cores and have a few hundred thousand. What can
be compared is a result's form and sign, seldom its size.

`make results` writes this file from the result files and the experiments' `findings.py`.
"""


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        item: table, figure or equation, as "Table 2".
        what: is measured, in a few words.
        paper: what the paper has.
        ours: what came out here, made from result files.
        why: one sentence on why ours differs; empty where it does not.
    """

    item: str
    what: str
    paper: str
    ours: str
    why: str = ""


def table() -> str:
    """The whole of experiments/README.md."""
    return "\n".join([HEAD, *(_section(path) for path in sorted(HERE.glob("*/findings.py")))])


def _section(path: pathlib.Path) -> str:
    folder = path.parent
    module = importlib.import_module(f"experiments.{folder.name}.findings")
    lines = [f"## [{folder.name}]({folder.name}/README.md)", "", _made(folder / "results"), ""]
    lines += ["| paper | what | paper's | ours | why ours differs |", "|---|---|---|---|---|"]
    for found in module.findings(folder / "results"):
        cells = (found.item, found.what, found.paper, found.ours, found.why)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _made(results: pathlib.Path) -> str:
    """Command, machine and time of the newest run, from the record beside the results."""
    path = results / "run.json"
    if not path.is_file():
        return "Command, time and machine are in its README."
    record = json.loads(path.read_text(encoding="utf-8"))
    seconds = record.get("cpu_seconds", record["seconds"])
    kind = "on a machine that did other work as well"
    if "cpu_seconds" in record:
        kind = "of CPU, the last call's; runs and fits that it found done are not in it"
    minutes = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return f"`{record['command']}`: {minutes} ({kind}) on {record['machine']}."


if __name__ == "__main__":
    (HERE / "README.md").write_text(table(), encoding="utf-8")
