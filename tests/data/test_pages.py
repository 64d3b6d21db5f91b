"""Pages of manuals: what is read, in which order, and what is left out."""

import io

import pytest
from PIL import Image

from jaxmix.data.documents import Picture
from jaxmix.data.pages import PageImage, interleaved, manuals, page_parts, without_shade


def png(width: int = 100, height: int = 80, color: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (color, 0, 0)).save(out, "PNG")
    return out.getvalue()


def page(body: str) -> str:
    return (
        "<!doctype html><html><head><title>T</title></head><body><nav>Menu</nav>"
        '<img src="logo.png"><main><div class="md-sidebar">Side</div><article class="inner">'
        f"{body}</article><p>After</p></main><footer>Foot</footer></body></html>"
    )


def shown(archive) -> list[list[str]]:
    """Parts of every document, pictures by their names in brackets."""
    return [
        [f"[{part.name}]" if isinstance(part, Picture) else part for part in document.parts]
        for document in manuals(archive)
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<h1>A<a class='headerlink'>¶</a></h1><p>b\n  c<br>d</p>", "A\nb c\nd"),
        ("<ul><li><p>one</p><li>two<ul><li>in</li></ul></ul>x", "- one\n- two\n- in\nx"),
        ("<table><tr><th><p>a</p></th><th>b</th></tr><tr><td>1<td>2</table>", "a | b\n1 | 2"),
        ("<p>run:</p><pre><code>if x:\n    y\n\n</code></pre><p>z</p>", "run:\nif x:\n    y\nz"),
        ("a<script>if (a < b) {}</script><style>p {}</style> &lt;b&gt; &amp;c", "a <b> &c"),
        ("a<nav>n<nav>m</nav>o</nav> b<button>Copy</button>", "a b"),
        ("<div class='x toc'><div>y</div>z</div><p>kept</p>", "kept"),
        ("<p>open <em>tags <strong>stay</p> here", "open tags stay\nhere"),
        ("<article>inner</article> outer", "inner\nouter"),
        ("\\(\\alpha < 1\\)", "\\(\\alpha < 1\\)"),
    ],
)
def test_text_is_read_as_it_is_seen(body, text):
    assert page_parts(page(body)) == [text]


def test_sphinx_pages_have_the_role_main():
    source = '<div class="related">r</div><div class="body" role="main"><div>x</div>y</div><p>z'
    assert page_parts(source) == ["x\ny"]
    assert page_parts("<p>no main part</p>") == []


def test_images_stand_where_they_are():
    parts = page_parts(page('<p>a <img src="x.png" alt="An  x"> b</p><img><img src="y.png"/>c'))
    assert parts == ["a", PageImage("x.png", "An x"), "b", PageImage("y.png", ""), "c"]


def test_page_is_text_and_pictures_in_order(wheel):
    archive = wheel(
        {
            "app/static/docs/user/start.html": page(
                '<h1>Start</h1><p>Push:</p><img src="../images/push%20it.png?v=1" alt="Push the '
                'button"><p>Then wait.</p><img src="../images/wait.png" alt="wait.png">'
            ),
            "app/static/docs/images/push it.png": png(),
            "app/static/docs/images/wait.png": png(color=9),
            "app/static/docs/plain.html": page("<p>No picture.</p>"),
            "app/static/docs/bare.html": page('<img src="images/wait.png">'),
            "app/templates/form.html": page('<p>{{ x }}</p><img src="../static/docs/a.png">'),
        }
    )
    push, wait = ("app/static/docs/images/push it.png", "app/static/docs/images/wait.png")
    assert shown(archive) == [
        ["Start\nPush:", f"[{push}]", "Push the button\nThen wait.", f"[{wait}]"]
    ]
    (document,) = manuals(archive)
    assert document.name == "app/static/docs/user/start.html"
    assert document.keys == {f"screenshot:{push}", f"screenshot:{wait}"}
    assert list(manuals(archive)) == [document]


def test_dark_twins_are_gone_and_share_the_key(wheel):
    body = (
        '<p>See</p><img src="i/a-light.png#only-light"><img src="i/a-dark.png#only-dark">'
        '<img src="i/b_dark.png"><img src="i/b.png"><img src="i/night-dark.png">'
        '<img src="i/c-dark.png"><img src="i/c-light.png">'
    )
    names = ["a-light", "a-dark", "b_dark", "b", "night-dark", "c-light", "c-dark"]
    pictures = {f"m/docs/i/{name}.png": png(color=i) for i, name in enumerate(names)}
    archive = wheel({"m/docs/x.html": page(body), **pictures})
    (found,) = shown(archive)
    kept = ["a-light", "b", "night-dark", "c-light"]
    assert found == ["See", *(f"[m/docs/i/{name}.png]" for name in kept)]
    (document,) = manuals(archive)
    assert "screenshot:m/docs/i/a.png" in document.keys
    assert without_shade("m/docs/i/a-dark.png") == "m/docs/i/a.png"
    assert without_shade("highlight/lightning.png") == "highlight/lightning.png"


def test_small_repeated_missing_and_foreign_pictures_are_dropped(wheel):
    everywhere = '<p>p</p><img src="banner.png">'
    body = (
        '<img src="small.png"><img src="Logo_1.png"><img src="none.png"><img src="bad.png">'
        '<img src="https://other.site/docs/good.png"><img src="data:image/png;base64,AA">'
        '<img src="/docs/good.png"><img src="good.png">'
    )
    archive = wheel(
        {
            **{f"m/docs/{i}.html": page(everywhere) for i in range(5)},
            "m/docs/x.html": page(everywhere + body),
            "m/docs/banner.png": png(),
            "m/docs/small.png": png(200, 47),
            "m/docs/Logo_1.png": png(),
            "m/docs/bad.png": b"\x89PNG not",
            "m/docs/good.png": png(48, 48),
        }
    )
    assert shown(archive) == [["p", "[m/docs/good.png]"]]


def test_picture_on_five_pages_is_kept(wheel):
    pages = {f"m/docs/{i}.html": page(f'<p>{i}</p><img src="a.png">') for i in range(5)}
    documents = list(manuals(wheel({**pages, "m/docs/a.png": png()})))
    assert len(documents) == 5 and len({document.keys for document in documents}) == 1


def test_alternative_text_is_not_said_twice(wheel):
    body = (
        '<p>a</p><figure><img src="a.png" alt="The form"><figcaption>The form to fill.</figcaption>'
        '</figure><img src="b.png" alt="images/b c.png"><img src="c.png" alt="The list">'
    )
    archive = wheel({"m/docs/x.html": page(body), **{f"m/docs/{n}.png": png() for n in "abc"}})
    (found,) = shown(archive)
    assert [part for part in found if part[0] != "["] == ["a", "The form to fill.", "The list"]


def test_interleaved_is_entries_then_manuals(wheel):
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h5v5H0z"/></svg>'
    sense = {"part_of_speech": "n.", "definitions": [{"text": "A vessel.", "examples": []}]}
    archive = wheel(
        {
            "dictionary/data/en/words_B.json": {"bell": {"entry": "bell", "pos": [sense]}},
            "emoji/unicode_codes/emoji.json": {},
            "material/templates/.icons/material/bell.svg": svg,
            "m/docs/x.html": page('<p>p</p><img src="a.png">'),
            "m/docs/a.png": png(),
        }
    )
    entry, manual = interleaved(*[archive] * 5, size=16)
    assert entry.text == "bell, n.\n1. A vessel." and manual.text == "p"
