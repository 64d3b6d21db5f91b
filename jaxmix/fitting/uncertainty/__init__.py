"""How sure a fit is: refits of resampled rows, model error, noise and influence."""

from jaxmix.fitting.uncertainty.clusters import mixture_labels as mixture_labels
from jaxmix.fitting.uncertainty.clusters import run_labels as run_labels
from jaxmix.fitting.uncertainty.ensemble import Ensemble as Ensemble
from jaxmix.fitting.uncertainty.ensemble import interval as interval
from jaxmix.fitting.uncertainty.influence import Influence as Influence
from jaxmix.fitting.uncertainty.refit import Refitter as Refitter
from jaxmix.fitting.uncertainty.refit import fresh_search as fresh_search
from jaxmix.fitting.uncertainty.refit import make_refitters as make_refitters
