"""The sliders in a notebook: a page in a frame that holds nothing but them."""

import html
import re

from jaxmix.report import Explorer


def test_sliders_stand_in_a_frame_that_sees_nothing_of_the_notebook(report, tmp_path):
    made = Explorer(report, height=500)
    frame = made._repr_html_()
    assert frame.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in frame
    page = html.unescape(re.findall(r'srcdoc="([^"]*)"', frame)[0])
    assert re.findall(r'<section id="(\w+)"', page) == ["decision", "sizes", "moves"]
    assert 'id="sizes-panel"' in page and "script-src 'sha256-" in page
    assert "height:500px" in frame and len(repr(made)) < 100
    made.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == page
