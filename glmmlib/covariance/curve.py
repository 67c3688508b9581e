r"""The bends of a smooth curve: independent, with one SD, :math:`\Lambda = \theta I`.

The penalty of a spline is the density of random effects (Wahba 1978; Wood 2017, 5.8): the larger their SD,
the more the curve may bend.  They are no sample of levels, but one curve that new data have, too.
"""

import numpy as np

from glmmlib.covariance.multiple import Multiple


class Curve(Multiple):
    """``s(x)``: the bends of a curve, in columns that are orthogonal to its straight line.

    Parameters
    ----------
    q : int
        How many.
    """

    word, example = "s", "s(t, k=4)"
    left_side = "curve"
    options = {"k": 10, "bs": "cr", "knots": None}
    is_curve = True
    phrase = ""

    def __init__(self, q):
        super().__init__(np.eye(q))

    @classmethod
    def of(cls, columns, places, **options):
        return cls(len(columns))

    def names(self, columns, label):
        return (label,)

    def boundary_sentences(self, par, group, columns, term):
        return iter(())  # a straight line is an answer like any other
