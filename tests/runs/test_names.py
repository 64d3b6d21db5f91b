"""Either spelling of a name."""

import pytest

from jaxmix.runs import RunTableError, bare, resolve_names

KNOWN = ("github", "arxiv", "w_odd")


def test_bare():
    assert bare("w_github", "w_") == "github" and bare("loss_w_x", "w_") == "loss_w_x"
    assert bare("loss_", "loss_") == "loss_"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, KNOWN),
        ("all", KNOWN),
        (["all"], KNOWN),
        (["w_arxiv", "arxiv", "github"], ("arxiv", "github")),
        ("arxiv, w_github", ("arxiv", "github")),
        (["w_odd"], ("w_odd",)),
        (["w_w_odd"], ("w_odd",)),
    ],
)
def test_resolve(asked, expected):
    assert resolve_names(asked, KNOWN, "domain") == expected


def test_unknown():
    with pytest.raises(RunTableError, match=r"^unknown domain 'w_gihub'; nearest: github$"):
        resolve_names(["w_gihub"], KNOWN, "domain")
    with pytest.raises(RunTableError, match="known: github, arxiv, w_odd"):
        resolve_names(["zzz"], KNOWN, "domain")
    with pytest.raises(RunTableError, match="no domain is named"):
        resolve_names([], KNOWN, "domain")
