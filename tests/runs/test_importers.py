"""Other tools' formats: joined by run id, whatever the order of the rows."""

import numpy as np
import pytest

from jaxmix.runs import (
    RunTableError,
    import_mixinglaws,
    import_olmix,
    import_regmix,
    merge_domains,
)

RATIOS = """run,name,index,web,code:py,wiki
h1,swarm-0,0,0.45,0.30,0.25
12345,swarm-1,1,0.60,0.20,0.20
h3,swarm-2,2,0.33,0.33,0.34
"""
METRICS = """,run_id,name,index,arc_bpb,task::olmes,accuracy
0,h3,swarm-2,0,1.3,0.93,0
1,h1,swarm-0,1,1.1,0.91,0.5
2,12345,swarm-1,2,1.2,,0.6
"""
MIXTURES = """index,train_the_pile_arxiv,train_the_pile_pile_cc
1,0.25,0.75
2,1.0,0.0
3,0.501,0.501
"""
LOSSES = """index,metric/the_pile_pile_cc_val_loss,metric/train_loss,metric/the_pile_arxiv_val_loss
3,3.3,9,2.3
1,3.1,9,2.1
2,3.2,9,2.2
"""
SCALE = {"n_params": 1e6, "tokens": 1e9}
BIN = "/data/valid//pythia-pile.valid"


def two(tmp_path, first, second):
    for name, text in (("first.csv", first), ("second.csv", second)):
        (tmp_path / name).write_text(text)
    return tmp_path / "first.csv", tmp_path / "second.csv"


def test_olmix(tmp_path):
    files = two(tmp_path, RATIOS, METRICS)
    table = import_olmix(*files, **SCALE, targets=["arc_bpb", "task::olmes"])
    assert list(table.frame["run"]) == ["h1", "12345", "h3"]
    assert table.domains == ("web", "code:py", "wiki")
    assert table.targets == ("arc_bpb", "task::olmes")
    np.testing.assert_array_equal(table.losses(), [[1.1, 1.2, 1.3], [0.91, np.nan, 0.93]])
    np.testing.assert_array_equal(table.weights[1], [0.6, 0.2, 0.2])
    np.testing.assert_array_equal(table.n_params, [1e6] * 3)


@pytest.mark.parametrize(
    ("ratios", "metrics", "expected"),
    [
        (RATIOS, METRICS, "second.csv: column 'accuracy', line 2: 0 must be positive"),
        (RATIOS.replace("0.45", "x"), METRICS, "first.csv: column 'web', line 2: 'x' is not a num"),
        (RATIOS.replace("0.45", "0.5"), METRICS, "first.csv: columns .* line 2: the weights sum"),
        (
            RATIOS,
            METRICS.replace("h3", "h9"),
            "first.csv: column 'run', line 4: 1 run not in .*: h3",
        ),
        (RATIOS, METRICS + "3,h9,,,1,1,1\n", "second.csv: column 'run_id', line 5: 1 run not in"),
        (RATIOS + "h1,s,3,1,0,0\n", METRICS, "line 5: run 'h1' stands on line 2 with other values"),
        (RATIOS + ",s,3,1,0,0\n", METRICS, "column 'run', line 5: is empty"),
        (RATIOS.replace("run,", "id,"), METRICS, r"column 'run' \(or 'run_id'\) is missing"),
    ],
)
def test_olmix_faults(tmp_path, ratios, metrics, expected):
    with pytest.raises(RunTableError, match=expected):
        import_olmix(*two(tmp_path, ratios, metrics), **SCALE)


def test_unmatched_runs(tmp_path):
    more = "".join(f"x{i},,,1,0,0\n" for i in range(7))
    files = two(tmp_path, RATIOS + more, METRICS.replace("h3", "h9"))
    with pytest.raises(RunTableError, match=r"8 runs not in .*: h3, x0, x1, x2, x3, \.\.\.; add"):
        import_olmix(*files, **SCALE)
    table = import_olmix(*files, **SCALE, targets="arc_bpb", allow_unmatched=True)
    assert list(table.frame["run"]) == ["h1", "12345"] and len(table.notes) == 2
    none = METRICS.replace("h3", "a").replace("h1", "b").replace("12345", "c")
    with pytest.raises(RunTableError, match="no run is in both files"):
        import_olmix(*two(tmp_path, RATIOS, none), **SCALE, allow_unmatched=True)


def test_identical_repeats(tmp_path):
    files = two(tmp_path, RATIOS + "h1,swarm-0,9,0.45,0.30,0.25\n", METRICS)
    table = import_olmix(*files, **SCALE, targets=["arc_bpb"])
    assert len(table) == 3 and "1 identical duplicate row of" in table.notes[0]


def test_regmix(tmp_path):
    files = two(tmp_path, MIXTURES, LOSSES)
    table = import_regmix(*files, **SCALE, run_prefix="train-", where="run != 'train-2'")
    assert list(table.frame["run"]) == ["train-1", "train-3"]
    assert table.domains == ("arxiv", "pile_cc") and table.targets == ("pile_cc", "arxiv")
    np.testing.assert_array_equal(table.losses(["arxiv"]), [[2.1, 2.3]])
    np.testing.assert_allclose(table.weights[1], [0.5, 0.5])
    assert table.notes == (
        "columns left out: metric/train_loss",
        "where \"run != 'train-2'\" kept 2 of 3 rows",
        "weights of 1 row renormalized (sums 1.002 to 1.002)",
    )


def test_base_losses_are_no_targets(tmp_path):
    """The losses of the models that continual runs went on from keep their names."""
    metrics = METRICS.replace("accuracy", "base_loss_web")
    table = import_olmix(*two(tmp_path, RATIOS, metrics), **SCALE, targets=["arc_bpb"])
    assert table.targets == ("arc_bpb",) and table.frame["base_loss_web"].tolist() == [0.5, 0.6, 0]
    losses = LOSSES.replace("metric/train_loss", "base_loss_arxiv")
    table = import_regmix(*two(tmp_path, MIXTURES, losses), **SCALE)
    assert table.frame["base_loss_arxiv"].tolist() == [9, 9, 9] and len(table.targets) == 2
    merged = merge_domains(table, ["arxiv", "pile_cc"], "all")
    assert "base_loss_arxiv" in merged.frame


def test_regmix_ids_and_other_datasets(tmp_path):
    files = two(tmp_path, MIXTURES.replace("train_the_pile_arxiv", "train_c4"), LOSSES)
    assert import_regmix(*files, **SCALE).domains == ("c4", "the_pile_pile_cc")
    files = two(tmp_path, MIXTURES.replace("1,0.25", "1.0,0.25"), LOSSES)
    assert list(import_regmix(*files, **SCALE).frame["run"]) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("mixtures", "losses", "expected"),
    [
        (LOSSES, MIXTURES, "first.csv: no column train_<domain>"),
        (MIXTURES, MIXTURES, "second.csv: no column metric/<target>_val_loss"),
        (MIXTURES.replace("index", "id"), LOSSES, "first.csv: column 'index' is missing"),
        (MIXTURES, LOSSES.replace("2.1", "-1"), "column 'metric/the_pile_arxiv_val_loss', line 3"),
        (MIXTURES, LOSSES.replace("3,3.3", "4,3.3"), "column 'index', line 4: 1 run not in"),
    ],
)
def test_regmix_faults(tmp_path, mixtures, losses, expected):
    with pytest.raises(RunTableError, match=expected):
        import_regmix(*two(tmp_path, mixtures, losses), **SCALE)


def laws(tmp_path, *rows, name="70M.txt"):
    path = tmp_path / name
    path.write_text(
        "".join(f"/ckpts/x//{run}\t{BIN}.{what}.bin\t{loss}\n" for run, what, loss in rows)
    )
    return path


A, B = "70M_base_1-0.25-0.75", "70M_base_2-1-0.0"
ROWS = [
    (f"{B}/2000", "Pile-CC", 2.22),
    (f"{A}/1000", "Github", 1.11),
    (f"{A}/1000", "Pile-CC", 2.11),
    (f"{A}/2000", "Github", 1.21),
    (f"{A}/1000", "Github", 1.11),
]


def test_mixinglaws(tmp_path):
    table = import_mixinglaws(laws(tmp_path, *ROWS), domains=["w_code", "web"])
    assert list(table.frame["run"]) == [A, A, B]
    assert table.domains == ("code", "web") and table.targets == ("github", "pile_cc")
    np.testing.assert_array_equal(table.tokens, np.array([1000, 2000, 2000]) * 1048576.0)
    np.testing.assert_array_equal(table.n_params, [18915328] * 3)
    np.testing.assert_array_equal(table.weights, [[0.25, 0.75], [0.25, 0.75], [1, 0]])
    np.testing.assert_array_equal(table.losses(), [[1.11, 1.21, np.nan], [2.11, np.nan, 2.22]])
    assert table.notes == ("1 identical duplicate line dropped",)


def test_mixinglaws_order_of_lines_does_not_matter(tmp_path):
    one = import_mixinglaws(laws(tmp_path, *ROWS), domains=["a", "b"])
    other = import_mixinglaws(laws(tmp_path, *reversed(ROWS)), domains=["a", "b"])
    assert one.frame.equals(other.frame)


def test_mixinglaws_several_files_and_sizes(tmp_path):
    small = laws(tmp_path, *ROWS)
    large = laws(tmp_path, ("7-0.5-0.5/10", "Books3", 3.0), name="410M.txt")
    table = import_mixinglaws([small, large], domains=["a", "b"], where="tokens > 0")
    assert list(table.frame["run"])[-1] == "410M_7-0.5-0.5" and table.n_params[-1] == 302311424
    assert table.targets == ("github", "pile_cc", "books3")
    sizes = {"70M": 7e7, "410M": 4.1e8}
    table = import_mixinglaws([small, large], domains=["a", "b"], n_params=sizes)
    assert set(table.n_params) == {7e7, 4.1e8}
    with pytest.raises(RunTableError, match="leaves no row of any file"):
        import_mixinglaws([small, large], domains=["a", "b"], where="tokens < 0")


def test_mixinglaws_redpajama_order_is_known(tmp_path):
    run = "70M_RP_1-0.125-0.25-0.140625-0.0625-0.1875-0.125-0.109375/10"
    table = import_mixinglaws(laws(tmp_path, (run, "ArXiv", 3.0)))
    assert table.domains[:3] == ("commoncrawl", "c4", "github") and table.targets == ("arxiv",)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((f"{A}/1000", "Github", "x"), "line 6: the loss 'x' is not a number"),
        ((f"{A}/1000", "Github", "1 2"), "line 6 has 4 fields"),
        ((f"{A}/1000", "Github", "1.5"), "column 'loss_github', line 6: .* 1.11 on line 2"),
        ((f"{A}/1000", "Books", "-1"), "column 'loss_books', line 6: -1 must be positive"),
        (("pythia_step2000", "Github", "1.5"), "line 6: .* names no <run>/<step>"),
        (("70M_c-0.5-0.4-0.1/5", "Github", "1.5"), "has 3 weights, but 2 domains are named"),
        (("70M_c-0.5-0.4/5", "Github", "1.5"), "line 6: the weights sum to 0.9"),
        (
            ("9M_c-0.5-0.5/5", "Github", "1.5"),
            "size '9M' has no known parameter count .*--n-params",
        ),
    ],
)
def test_mixinglaws_faults(tmp_path, row, expected):
    with pytest.raises(RunTableError, match=expected):
        import_mixinglaws(laws(tmp_path, *ROWS, row), domains=["a", "b"])


def test_mixinglaws_unnamed_domains_and_skipped_lines(tmp_path):
    path = laws(tmp_path, *ROWS, ("pythia_step2000", "Github", "1.5"))
    with pytest.raises(
        RunTableError, match=r"2 weights, but no domains are named; pass .* --domains"
    ):
        import_mixinglaws(path, allow_unmatched=True)
    table = import_mixinglaws(path, domains=["a", "b"], allow_unmatched=True)
    assert table.notes[-1] == "1 unmatched line dropped"
    python = tmp_path / "70M.txt"
    python.write_text(f"/c/{A}/5 /data/starcoder.python.valid.bin 1.5\n")
    assert import_mixinglaws(python, domains=["a", "b"]).targets == ("python",)
