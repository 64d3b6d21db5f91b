"""Models and their losses: text language models."""

from jaxmix.models.model import Losses as Losses
from jaxmix.models.model import Model as Model
from jaxmix.models.model import ParameterCount as ParameterCount
from jaxmix.models.model import text_model as text_model
from jaxmix.models.presets import PRESETS as PRESETS
from jaxmix.models.presets import Preset as Preset
from jaxmix.models.presets import get_preset as get_preset
from jaxmix.models.presets import learning_rate as learning_rate
from jaxmix.models.text import TextConfig as TextConfig
from jaxmix.models.text import TextLM as TextLM
