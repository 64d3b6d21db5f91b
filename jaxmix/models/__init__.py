"""Models and their losses: text, early-fusion multimodal, and vision encoders as in AIMv2."""

from jaxmix.models.inference import Likelihood as Likelihood
from jaxmix.models.inference import features as features
from jaxmix.models.inference import likelihood as likelihood
from jaxmix.models.inference import predict_patches as predict_patches
from jaxmix.models.inference import token_likelihood as token_likelihood
from jaxmix.models.inference import write_captions as write_captions
from jaxmix.models.model import Losses as Losses
from jaxmix.models.model import Model as Model
from jaxmix.models.model import ParameterCount as ParameterCount
from jaxmix.models.model import multimodal_model as multimodal_model
from jaxmix.models.model import text_model as text_model
from jaxmix.models.model import vision_model as vision_model
from jaxmix.models.multimodal import MultimodalConfig as MultimodalConfig
from jaxmix.models.multimodal import batch_flops as batch_flops
from jaxmix.models.pixels import PatchGrid as PatchGrid
from jaxmix.models.presets import PRESETS as PRESETS
from jaxmix.models.presets import Preset as Preset
from jaxmix.models.presets import family_of as family_of
from jaxmix.models.presets import get_preset as get_preset
from jaxmix.models.presets import learning_rate as learning_rate
from jaxmix.models.ranges import key_pairs as key_pairs
from jaxmix.models.text import TextConfig as TextConfig
from jaxmix.models.text import TextLM as TextLM
from jaxmix.models.vision import VisionConfig as VisionConfig
