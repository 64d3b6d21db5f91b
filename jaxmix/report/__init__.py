"""Pictures of run tables, laws and mixtures."""

from jaxmix.report.plots import plot_observed_predicted as plot_observed_predicted
from jaxmix.report.plots import plot_optimum_over_scale as plot_optimum_over_scale
from jaxmix.report.sheet import plot_contact_sheet as plot_contact_sheet
