"""The page in a real browser: what a reader sees, hears and does."""

import re

import numpy as np
import pytest

from jaxmix.laws import TOKENS, WEIGHTS, Law, Parameter
from jaxmix.mixtures import Constraints
from jaxmix.report import render, write_report

from .conftest import DOMAINS, EVIL, TARGETS, proposal


def luminance(color: str) -> float:
    parts = [float(x) / 255 for x in re.findall(r"[\d.]+", color)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(first: str, second: str) -> float:
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_opens_alone_and_shows_every_figure(open_page):
    page = open_page()
    assert page.locator("[data-chart] svg").count() == page.locator("[data-chart]").count() == 11
    assert page.locator("section h2").count() >= 7
    assert page.locator("#decision .answer").inner_text().startswith("Train on ")
    for title in page.locator("section h2").all():  # each part opens with its answer
        answer = title.locator("xpath=following-sibling::*[1]")
        assert answer.get_attribute("class") == "answer" and len(answer.inner_text()) > 15
    assert page.locator("main table caption").count() == page.locator("main table").count()


def test_names_are_text_and_never_run(open_page, page_file):
    page = open_page()
    assert page.evaluate("window.hacked") is None
    body = page.inner_text("main")
    assert all(name in body for name in (*DOMAINS, *TARGETS))
    assert EVIL not in page_file.read_text()


def test_sliders_move_by_keyboard_and_say_so(open_page):
    page = open_page()
    panel = "#sizes-panel"
    before = page.inner_text("output[for=slider-n]"), page.inner_text(panel)
    page.focus("#slider-n")
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    after = page.inner_text("output[for=slider-n]"), page.inner_text(panel)
    assert before[0] != after[0] and before[1] != after[1]
    assert after[0] in page.get_attribute("#slider-n", "aria-valuetext")
    assert "times the most that was run" in page.inner_text("#sizes-flags")
    page.click("text=Back to the budget of this page")
    assert page.inner_text(panel) == before[1]


def test_a_weight_that_moves_takes_from_the_others_in_proportion(open_page, report):
    page = open_page()
    page.focus("#slider-h0")
    page.keyboard.press("End")
    moved = page.evaluate("Explore.moves")
    np.testing.assert_allclose(moved["h"], [1, 0, 0], atol=1e-9)
    want = list(report.supported.predict(np.array([1.0, 0, 0])).values())
    np.testing.assert_allclose(moved["losses"], want, rtol=1e-10)
    page.keyboard.press("ArrowLeft")
    h = np.array(page.evaluate("Explore.moves.h"))
    assert h[0] == 0.995 and h.sum() == pytest.approx(1) and h[1] == pytest.approx(h[2])


def test_a_limit_that_moves_binds_and_says_its_cost(open_page, report):
    page = open_page()
    page.select_option("#limit-domain", "0")
    page.focus("#slider-most")
    for _ in range(400):
        page.keyboard.press("ArrowLeft")
        if page.evaluate("Explore.limit.limit") < report.supported.h[0] - 0.02:
            break
    found = page.evaluate("Explore.limit")
    assert found["weights"][0] == pytest.approx(found["limit"], abs=0.005)
    assert "changes by +" in page.inner_text("#limit-cost")


def test_everything_interactive_is_reached_by_tab(open_page):
    page = open_page()
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    sliders = {"slider-n", "slider-d", "slider-h0", "slider-h2", "slider-most", "slider-least"}
    assert {"skip", "theme", "limit-domain", "target"} | sliders <= seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(open_page, scheme):
    page = open_page(color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (luminance(paper) < 0.1) == (scheme == "dark")
    found = page.evaluate(
        """() => [...document.querySelectorAll(`p, li, td, th, h1, h2, h3, a, summary, caption,
        figcaption, button, output, svg text`)].filter(e => e.textContent.trim()).map(e => {
          let at = e, back = 'rgba(0, 0, 0, 0)';
          for (; at && /, 0\\)$/.test(back); at = at.parentElement)
            back = getComputedStyle(at).backgroundColor;
          const s = getComputedStyle(e);
          return [e instanceof SVGElement ? s.fill : s.color, back, e.className];
        })"""
    )
    poor = [
        (ink, back, kind)
        for ink, back, kind in found
        if "rgba" not in back and contrast(ink, back) < 4.5
    ]
    assert len(found) > 100 and not poor, poor[:3]


def test_button_turns_the_colors_over(open_page):
    page = open_page(color_scheme="light")
    back = "luminance => getComputedStyle(document.documentElement).backgroundColor"
    before = page.evaluate(back)
    page.click("#theme")
    assert luminance(before) > 0.8 > 0.1 > luminance(page.evaluate(back))
    assert page.inner_text("#theme") == "Light"


def test_prints_without_controls(open_page):
    page = open_page()
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".control:visible, .panel:visible, input:visible").count()
    assert page.locator("section:visible").count() >= 6
    assert luminance(page.evaluate("getComputedStyle(document.body).color")) < 0.1
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_fits_a_phone(open_page):
    page = open_page(viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    pictures = [p.bounding_box() for p in page.locator(".drawing svg:visible").all()]
    assert max(box["x"] + box["width"] for box in pictures) <= 390


def test_nothing_is_drawn_outside_the_pictures(open_page):
    page = open_page()
    stray = page.evaluate(
        """() => [...document.querySelectorAll('.drawing svg')].flatMap(svg => {
          const box = svg.viewBox.baseVal;
          return [...svg.querySelectorAll('path, circle, text')].map(e => [e, e.getBBox()])
            .filter(([e, b]) => b.x < -1 || b.x + b.width > box.width + 1 || b.y < -1 ||
              b.y + b.height > box.height + 1)
            .filter(([e]) => !e.matches('.mark'))
            .map(([e, b]) => [svg.getAttribute('aria-label'), e.outerHTML, b.x, b.width]);
        })"""
    )
    assert not stray, stray[:3]


def test_target_chooser_redraws(open_page):
    page = open_page()
    before = page.inner_html("[data-chart=observed]")
    page.select_option("#target", "1")
    assert page.inner_html("[data-chart=observed]") != before


def test_sliders_obey_the_limits(open_page, tmp_path):
    limits = Constraints(maximum={"web": 0.2}, groups={"web + code & more": (None, 0.3)})
    best, runs = proposal(constraints=limits)
    write_report(tmp_path / "limits.html", best, runs, resamples=0)
    page = open_page(tmp_path / "limits.html")
    listed = page.inner_text("#decision .limits")
    assert "web: at most 20%" in listed and "it binds" in listed and "nats" in listed
    assert "The uniform mixture does not obey web<=0.2" in listed
    page.focus("#slider-n")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    h = page.evaluate("Explore.sizes.weights")
    assert h[0] <= 0.2 + 1e-6 and h[0] + h[1] <= 0.3 + 1e-6
    page.focus("#slider-h0")
    page.keyboard.press("End")
    assert "web<=0.2" in page.inner_text("#moves-flags")


def test_a_law_of_ones_own_has_sliders_too(open_page, tmp_path):
    own = Law(
        "own",
        (Parameter("E"), Parameter("B"), Parameter("C", "domain")),
        lambda p, x: (
            p["E"] + p["B"] * x["tokens"] ** -0.3 + (p["C"] * (x["weights"] - 0.3) ** 2).sum(-1)
        ),
        (TOKENS, WEIGHTS),
    )
    best, runs = proposal(own)
    write_report(tmp_path / "own.html", best, runs, resamples=0)
    page = open_page(tmp_path / "own.html")
    assert page.locator("#slider-n").count() == 0 and page.locator("#slider-d").count() == 1
    page.focus("#slider-h1")
    page.keyboard.press("ArrowRight")
    moved = page.evaluate("Explore.moves")
    want = list(best.predict(np.array(moved["h"])).values())
    np.testing.assert_allclose(moved["losses"], want, rtol=1e-10)


def test_page_refers_to_nothing_outside(report):
    html = render(report)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']+["']""", html.split("<script>")[0])
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in html and "default-src 'none'" in html
