"""Training: one pure step, one loop, fleets, sharding, checkpoints."""

from jaxmix.training.evaluation import Measured as Measured
from jaxmix.training.evaluation import measure as measure
from jaxmix.training.loop import Moment as Moment
from jaxmix.training.loop import Outcome as Outcome
from jaxmix.training.loop import train as train
from jaxmix.training.optimizer import OptimizerConfig as OptimizerConfig
from jaxmix.training.recording import append_rows as append_rows
from jaxmix.training.recording import read_rows as read_rows
from jaxmix.training.recording import write_json as write_json
from jaxmix.training.sharding import Layout as Layout
from jaxmix.training.sharding import fleet_layout as fleet_layout
from jaxmix.training.sharding import single_layout as single_layout
from jaxmix.training.types import Feed as Feed
from jaxmix.training.types import Fleet as Fleet
from jaxmix.training.types import Held as Held
from jaxmix.training.types import Member as Member
