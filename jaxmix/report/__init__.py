"""Pictures of run tables, laws and mixtures."""

from jaxmix.mixtures.effects import DomainEffects as DomainEffects
from jaxmix.mixtures.effects import domain_effects as domain_effects
from jaxmix.report.contents import Report as Report
from jaxmix.report.contents import make_report as make_report
from jaxmix.report.exports import export_mixture as export_mixture
from jaxmix.report.figures import plot_confidence as plot_confidence
from jaxmix.report.figures import plot_effects as plot_effects
from jaxmix.report.figures import plot_residuals as plot_residuals
from jaxmix.report.frontier import plot_frontier as plot_frontier
from jaxmix.report.page import write_report as write_report
from jaxmix.report.plots import plot_observed_predicted as plot_observed_predicted
from jaxmix.report.plots import plot_optimum_over_scale as plot_optimum_over_scale
from jaxmix.report.rows import Rows as Rows
from jaxmix.report.rows import read_provenance as read_provenance
from jaxmix.report.rows import read_rows as read_rows
from jaxmix.report.sheet import plot_contact_sheet as plot_contact_sheet
