"""Fitting laws to run tables: the objective, batched solvers, restarts, scores, simulation."""

from jaxmix.fitting.compare import Comparison as Comparison
from jaxmix.fitting.compare import compare as compare
from jaxmix.fitting.fit import DEFAULT_SOLVER as DEFAULT_SOLVER
from jaxmix.fitting.fit import SOLVERS as SOLVERS
from jaxmix.fitting.fit import FitError as FitError
from jaxmix.fitting.fit import fit as fit
from jaxmix.fitting.fitted import DataRange as DataRange
from jaxmix.fitting.fitted import FitReport as FitReport
from jaxmix.fitting.fitted import FittedLaw as FittedLaw
from jaxmix.fitting.fitted import StackedLaws as StackedLaws
from jaxmix.fitting.fitted import stack as stack
from jaxmix.fitting.influence import Influence as Influence
from jaxmix.fitting.influence import influence as influence
from jaxmix.fitting.loading import load_laws as load_laws
from jaxmix.fitting.saving import save_laws as save_laws
from jaxmix.fitting.scores import Score as Score
from jaxmix.fitting.scores import mean_mre as mean_mre
from jaxmix.fitting.scores import score as score
from jaxmix.fitting.simulate import random_truth as random_truth
from jaxmix.fitting.simulate import simulate as simulate
