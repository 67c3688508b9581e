"""The covariance structures, by the word that names them in a formula."""

from glmmlib.covariance.diagonal import Diagonal
from glmmlib.covariance.unstructured import Unstructured

STRUCTURES = {
    structure.word: structure
    for structure in (
        Unstructured,
        Diagonal,
    )
}


def structure_of(design):
    """Return the structure of a term: that of its word, or us for ``|`` and diag for ``||``."""
    word = "us" if design.correlated else "diag"
    return STRUCTURES[word](len(design.columns))
