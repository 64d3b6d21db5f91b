"""Reports: one page on an optimal mixture, figures as files, and mixtures as trainers read them."""

from jaxmix.report.contact_sheet import plot_contact_sheet as plot_contact_sheet
from jaxmix.report.contents import Report as Report
from jaxmix.report.contents import make_report as make_report
from jaxmix.report.explorer import Explorer as Explorer
from jaxmix.report.explorer import explore as explore
from jaxmix.report.exports import export_mixture as export_mixture
from jaxmix.report.exports import prepare_export as prepare_export
from jaxmix.report.page import render as render
from jaxmix.report.page import write_report as write_report
from jaxmix.report.plots import COLORS as COLORS
from jaxmix.report.plots import plot_effects as plot_effects
from jaxmix.report.plots import plot_frontier as plot_frontier
from jaxmix.report.plots import plot_observed_predicted as plot_observed_predicted
from jaxmix.report.plots import plot_optimum_over_scale as plot_optimum_over_scale
from jaxmix.report.plots import plot_path as plot_path
from jaxmix.report.plots import plot_residuals as plot_residuals
from jaxmix.report.plots import save_figure as save_figure
from jaxmix.report.rows import BestRun as BestRun
from jaxmix.report.rows import FittedRows as FittedRows
from jaxmix.report.rows import best_run as best_run
from jaxmix.report.rows import read_provenance as read_provenance
from jaxmix.report.rows import read_rows as read_rows
