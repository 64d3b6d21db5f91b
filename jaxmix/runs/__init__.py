"""The run table, the seam between training and fitting: read, check, filter, write, import."""

from jaxmix.runs.columns import import_columns as import_columns
from jaxmix.runs.columns import read_mapping as read_mapping
from jaxmix.runs.domains import add_domain as add_domain
from jaxmix.runs.domains import merge_domains as merge_domains
from jaxmix.runs.domains import remove_domain as remove_domain
from jaxmix.runs.domains import split_domain as split_domain
from jaxmix.runs.errors import RunTableError as RunTableError
from jaxmix.runs.expressions import parse_linear as parse_linear
from jaxmix.runs.filters import evaluate_where as evaluate_where
from jaxmix.runs.importers import import_olmix as import_olmix
from jaxmix.runs.importers import import_regmix as import_regmix
from jaxmix.runs.mixinglaws import MIXINGLAWS_SIZES as MIXINGLAWS_SIZES
from jaxmix.runs.mixinglaws import import_mixinglaws as import_mixinglaws
from jaxmix.runs.names import bare as bare
from jaxmix.runs.names import resolve as resolve
from jaxmix.runs.names import resolve_name as resolve_name
from jaxmix.runs.names import resolve_names as resolve_names
from jaxmix.runs.points import PointTable as PointTable
from jaxmix.runs.points import read_mixtures as read_mixtures
from jaxmix.runs.points import read_points as read_points
from jaxmix.runs.renaming import renaming as renaming
from jaxmix.runs.table import RunTable as RunTable
from jaxmix.runs.table import read_runs as read_runs
from jaxmix.runs.wandb import import_wandb as import_wandb
from jaxmix.runs.writing import write_runs as write_runs
