"""Honest selection: laws and rows chosen by how they will be used, and scored apart from that."""

from jaxmix.fitting.selection.candidates import Candidate as Candidate
from jaxmix.fitting.selection.candidates import default_laws as default_laws
from jaxmix.fitting.selection.candidates import make_candidates as make_candidates
from jaxmix.fitting.selection.choice import Difference as Difference
from jaxmix.fitting.selection.choice import NestedScore as NestedScore
from jaxmix.fitting.selection.choice import OuterPick as OuterPick
from jaxmix.fitting.selection.evidence import Cell as Cell
from jaxmix.fitting.selection.evidence import held_out_errors as held_out_errors
from jaxmix.fitting.selection.prior_strength import STRENGTHS as STRENGTHS
from jaxmix.fitting.selection.prior_strength import Pull as Pull
from jaxmix.fitting.selection.prior_strength import PullRow as PullRow
from jaxmix.fitting.selection.prior_strength import choose_pull as choose_pull
from jaxmix.fitting.selection.prior_strength import reference_weights as reference_weights
from jaxmix.fitting.selection.reasons import SelectionRow as SelectionRow
from jaxmix.fitting.selection.rivals import BaselineRow as BaselineRow
from jaxmix.fitting.selection.select import Selection as Selection
from jaxmix.fitting.selection.select import select as select
from jaxmix.fitting.selection.sharing_strength import choose_strength as choose_strength
from jaxmix.fitting.selection.sharing_strength import splits_of as splits_of
from jaxmix.fitting.selection.splits import Split as Split
from jaxmix.fitting.selection.splits import mixture_ids as mixture_ids
from jaxmix.fitting.selection.splits import trajectory_share as trajectory_share
from jaxmix.fitting.selection.trials import FitSettings as FitSettings
from jaxmix.fitting.selection.trials import Trials as Trials
from jaxmix.fitting.selection.trials import run_trials as run_trials
