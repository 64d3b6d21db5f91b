"""Studies: plans of many small runs, what they cost, running and resuming them into a run table."""

from jaxmix.studies.families import FAMILIES as FAMILIES
from jaxmix.studies.families import CorpusSpec as CorpusSpec
from jaxmix.studies.families import Family as Family
from jaxmix.studies.families import get_family as get_family
from jaxmix.studies.gains import Gain as Gain
from jaxmix.studies.gains import final_losses as final_losses
from jaxmix.studies.gains import gain as gain
from jaxmix.studies.mixtures import Design as Design
from jaxmix.studies.mixtures import named_mixtures as named_mixtures
from jaxmix.studies.mixtures import parse_design as parse_design
from jaxmix.studies.plan import Plan as Plan
from jaxmix.studies.plan import PlannedRun as PlannedRun
from jaxmix.studies.plan import Size as Size
from jaxmix.studies.plan import Study as Study
from jaxmix.studies.plan import Wave as Wave
from jaxmix.studies.plan import load_plan as load_plan
from jaxmix.studies.plan import make_plan as make_plan
from jaxmix.studies.run import WaveStatus as WaveStatus
from jaxmix.studies.run import merged as merged
from jaxmix.studies.run import run_plan as run_plan
from jaxmix.studies.run import run_wave as run_wave
from jaxmix.studies.run import status as status
from jaxmix.studies.run import write_table as write_table
