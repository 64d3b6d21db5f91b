"""Local solvers, the lanes that run them in batches, and the multistart search."""

from jaxmix.fitting.objective import Objective as Objective
from jaxmix.fitting.problem import Problem as Problem
from jaxmix.fitting.problem import make_problem as make_problem
from jaxmix.fitting.problem import random_starts as random_starts
from jaxmix.fitting.solvers.hopping import BasinHopping as BasinHopping
from jaxmix.fitting.solvers.hopping import perturb as perturb
from jaxmix.fitting.solvers.lanes import COLD as COLD
from jaxmix.fitting.solvers.lanes import WARM as WARM
from jaxmix.fitting.solvers.lanes import Jobs as Jobs
from jaxmix.fitting.solvers.multistart import SEARCHES as SEARCHES
from jaxmix.fitting.solvers.multistart import run_jobs as run_jobs
from jaxmix.fitting.solvers.multistart import run_search as run_search
from jaxmix.fitting.solvers.multistart import to_bottom as to_bottom
