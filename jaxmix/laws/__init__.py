"""Laws L(N, D, h): what one is, and every law of the paper and of the work it compares with."""

from jaxmix.laws.fixed import fixed as fixed
from jaxmix.laws.law import Law as Law
from jaxmix.laws.law import Parameter as Parameter
from jaxmix.laws.law import Params as Params
from jaxmix.laws.law import Scales as Scales
from jaxmix.laws.prior import GE as GE
from jaxmix.laws.prior import YE_M1 as YE_M1
from jaxmix.laws.prior import YE_M2 as YE_M2
from jaxmix.laws.prior import YE_M3 as YE_M3
from jaxmix.laws.prior import YE_M4 as YE_M4
from jaxmix.laws.registry import LAWS as LAWS
from jaxmix.laws.registry import get_law as get_law
from jaxmix.laws.registry import law_from_recipe as law_from_recipe
from jaxmix.laws.registry import law_recipe as law_recipe
from jaxmix.laws.repetition import R_D_STAR as R_D_STAR
from jaxmix.laws.repetition import R_N_STAR as R_N_STAR
from jaxmix.laws.repetition import bound as bound
from jaxmix.laws.repetition import is_bound as is_bound
from jaxmix.laws.repetition import repeated as repeated
from jaxmix.laws.scaling import ADDITIVE as ADDITIVE
from jaxmix.laws.scaling import ADDITIVE_FIXED_N as ADDITIVE_FIXED_N
from jaxmix.laws.scaling import ADDITIVE_FIXED_ND as ADDITIVE_FIXED_ND
from jaxmix.laws.scaling import CHINCHILLA as CHINCHILLA
from jaxmix.laws.scaling import FULL as FULL
from jaxmix.laws.scaling import JOINT as JOINT
from jaxmix.laws.scaling import SIMPLE as SIMPLE
