"""Tables for people: at any width every cell is whole and every column is there."""

import re

import pytest

from jaxmix.cli.tables import Table, table

LONG = [f"common_crawl_part_{i:02d}_high_quality" for i in range(40)]


def lines(made: Table, width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is printed of a table in a terminal of so many columns."""
    from jaxmix.cli import common

    common.show(made)
    printed = capsys.readouterr().out.splitlines()[1:]  # without the title
    assert max(map(len, printed)) <= width
    return printed


@pytest.mark.parametrize("width", [30, 40, 80, 140])
@pytest.mark.parametrize("k", [3, 17, 40])
def test_no_number_is_cut_and_no_column_is_dropped(k, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    made = table("front", "point", *LONG[:k], "loss of the target")
    for i in range(3):
        made.add_row(f"p{i}", *(f"{i}.{j:04d}" for j in range(k)), f"1.444{i}")
    printed = lines(made, width, capsys)
    cells = re.findall(r"(?<![\w.])\d\.\d{4}(?!\d)", "\n".join(printed))
    assert sorted(cells) == sorted(cell for row in made.rows for cell in row[1:])
    whole = "".join(re.sub(r"[\s─]", "", line) for line in printed)
    if width > 80:
        assert all(name in whole for name in LONG[:k])


def test_a_table_that_fits_stays_and_words_are_wrapped(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made = table("scores", "target", "law", "MRE %", text=("law",), rows=[("web", "additive", "1")])
    assert [line.split() for line in lines(made, 80, capsys)][::2] == [
        ["target", "law", "MRE", "%"], ["web", "additive", "1"],
    ]  # fmt: skip
    monkeypatch.setenv("COLUMNS", "40")
    made = table("laws", "name", "formula", text=("formula",), rows=[("a", "E + A/N^alpha " * 9)])
    assert "\n".join(lines(made, 40, capsys)).count("alpha") == 9


def test_a_table_of_many_columns_is_turned_around(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made = table("mixtures", "run", *LONG[:17], rows=[[f"r{i}", *["0.5000"] * 17] for i in (1, 2)])
    printed = lines(made, 80, capsys)
    assert len(printed) == 19 and printed[0].split() == ["run", "r1", "r2"]
    assert printed[2].split() == [LONG[0], "0.5000", "0.5000"]
