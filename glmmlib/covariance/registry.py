"""The covariance structures, by the word that names them in a formula."""

from glmmlib.covariance.ar1 import AR1
from glmmlib.covariance.bends import Bends
from glmmlib.covariance.compound_symmetry import CompoundSymmetry
from glmmlib.covariance.curve import Curve
from glmmlib.covariance.diagonal import Diagonal
from glmmlib.covariance.known import Known
from glmmlib.covariance.spatial import Exponential, Matern
from glmmlib.covariance.unstructured import Unstructured

STRUCTURES = {
    structure.word: structure
    for structure in (
        Unstructured,
        Diagonal,
        AR1,
        CompoundSymmetry,
        Exponential,
        Matern,
        Known,
        Curve,
        Bends,
    )
}
