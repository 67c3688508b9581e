r"""The bends of a smooth curve: independent, with one SD, :math:`\Lambda = \theta I`.

The penalty of a spline is the density of random effects (Wahba 1978; Wood 2017, 5.8): the larger their SD,
the more the curve may bend.  They are no sample of levels, but one curve that new data have, too.
"""

from collections.abc import Iterator, Sequence

from glmmlib.covariance.bends import Bends
from glmmlib.types import FloatArray


class Curve(Bends):
    """``s(x)``: the bends of a curve, in columns that are orthogonal to its straight line.

    Parameters
    ----------
    q : int
        How many.
    """

    word, example = "s", "s(t, k=4)"
    options = Bends.options | {"by": None}
    needs_repeats = False
    is_curve = True
    phrase = ""

    def names(self, columns: Sequence[str], label: str) -> tuple[str, ...]:
        return (label,)

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        return iter(())  # a straight line is an answer like any other
