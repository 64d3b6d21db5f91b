"""Warnings of the page: notes on fits bring their rank and remedy along."""

from jaxmix.notes import MINOR, WRONG, Note
from jaxmix.report.warnings import DECISION, DETAIL, _warned


def test_a_note_on_a_fit_is_split_into_what_was_found_and_what_to_do():
    note = Note("a better fit of web may exist (found once in 9 restarts): run with more", WRONG)
    assert _warned(note) == (
        DECISION,
        "A better fit of web may exist (found once in 9 restarts).",
        "Run with more.",
    )
    assert _warned("in float32") == (DETAIL, "In float32.", "")
    known = _warned(Note("no gain over uniform is shown: 0 is in it", MINOR))
    assert known.rank == DECISION and known.remedy.startswith("Treat the two mixtures")
