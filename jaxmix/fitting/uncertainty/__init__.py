"""How sure a fit is: refits of resampled rows, model error, noise and influence."""

from jaxmix.fitting.uncertainty.ensemble import Ensemble as Ensemble
from jaxmix.fitting.uncertainty.ensemble import interval as interval
