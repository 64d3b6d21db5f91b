"""Run tables that ship with the package: the committed studies, without their side columns."""

from jaxmix.examples.loading import EXAMPLES as EXAMPLES
from jaxmix.examples.loading import Example as Example
from jaxmix.examples.loading import load_example as load_example
