"""Nested laws: a step law, a size law and a mixture law, one on top of the other."""

from jaxmix.fitting.nested.files import load_any as load_any
from jaxmix.fitting.nested.files import load_nested as load_nested
from jaxmix.fitting.nested.files import save_nested as save_nested
from jaxmix.fitting.nested.fitting import fit_nested as fit_nested
from jaxmix.fitting.nested.how import Nested as Nested
from jaxmix.fitting.nested.how import NestedReport as NestedReport
from jaxmix.fitting.nested.law import NestedLaw as NestedLaw
from jaxmix.fitting.nested.law import nested_at as nested_at
from jaxmix.fitting.nested.law import predict_nested as predict_nested
