"""Data: corpora of named domains, their token windows, and streams that mix them."""

from .batching import batches as batches
from .corpus import Corpus as Corpus
from .corpus import TokenWindows as TokenWindows
from .corpus import open_corpus as open_corpus
from .corpus import prepared as prepared
from .errors import DataError as DataError
from .mixture import Consumed as Consumed
from .mixture import MixtureSource as MixtureSource
from .mixture import Records as Records
from .own import write_texts as write_texts
from .planning import Plan as Plan
from .planning import plan_corpus as plan_corpus
from .preparing import prepare as prepare
from .preparing import prepare_plan as prepare_plan
from .recipes import RECIPES as RECIPES
from .recipes import Archive as Archive
from .recipes import Domain as Domain
from .recipes import Recipe as Recipe
from .tokenizer import Tokenizer as Tokenizer
