"""The run table, the seam between training and fitting: read, check, filter, write, import."""

from .columns import runs_from_columns as runs_from_columns
from .domains import add_domain as add_domain
from .domains import merge_domains as merge_domains
from .domains import remove_domain as remove_domain
from .domains import split_domain as split_domain
from .errors import RunTableError as RunTableError
from .importers import import_olmix as import_olmix
from .importers import import_regmix as import_regmix
from .mixinglaws import MIXINGLAWS_SIZES as MIXINGLAWS_SIZES
from .mixinglaws import import_mixinglaws as import_mixinglaws
from .mixtures import read_mixtures as read_mixtures
from .names import bare as bare
from .names import resolve_names as resolve_names
from .points import PointTable as PointTable
from .points import points_from_frame as points_from_frame
from .points import read_points as read_points
from .renaming import import_columns as import_columns
from .renaming import read_mapping as read_mapping
from .table import RunTable as RunTable
from .table import read_runs as read_runs
from .table import runs_from_frame as runs_from_frame
from .where import evaluate_where as evaluate_where
from .writing import write_runs as write_runs
