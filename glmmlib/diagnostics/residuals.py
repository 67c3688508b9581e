r"""Simulated residuals: where each observation lies among responses drawn from the fitted model.

In a generalised model the raw residuals of a right model look wrong: discrete, skewed, of unequal spread.
Compared with n draws from the fit, every observation has a residual that is uniform on (0, 1) under the
model, whatever its family,

.. math::

    u_i = \frac{\#\{k: y_{ik} < y_i\} + v_i \left(1 + \#\{k: y_{ik} = y_i\}\right)}{n + 1}, \quad v_i
    \sim U(0, 1).

The idea of randomising is that of Dunn and Smyth (1996, *Journal of Computational and Graphical Statistics*
5(3)); simulating it from the mixed model is that of Hartig's R package DHARMa.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import bdtrc, ndtri

from glmmlib.display.arguments import check_from_one, checked
from glmmlib.display.tables import p_text
from glmmlib.display.words import listed
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.prediction.simulate import require_generator
from glmmlib.types import FloatArray, IntArray

MIN_SIMULATIONS = 20


@dataclass(frozen=True)
class ResidualTest:
    """One question put to simulated residuals.

    Attributes
    ----------
    statistic : float
    expected : float
        What the simulations have on average (or what the formula gives).
    ratio : float
        Statistic over expectation.
    p : float
    hypothesis : str
        H0 in words.
    """

    statistic: float
    expected: float
    p: float
    hypothesis: str

    @property
    def ratio(self) -> float:
        """Statistic over expectation."""
        return self.statistic / self.expected if self.expected else np.nan

    def __repr__(self) -> str:
        p = p_text(self.p)
        return (
            f"{self.statistic:.4g} (expected {self.expected:.4g}), p {p if p[0] == '<' else '= ' + p}; H0: "
            f"{self.hypothesis}"
        )


@dataclass(frozen=True, eq=False)
class SimulatedResiduals:
    """The result of :func:`glmmlib.simulated_residuals`.

    Attributes
    ----------
    values : Series (nobs,)
        Between 0 and 1, and uniform under the model.
    fitted : Series (nobs,)
        Mean of the simulations of each row.
    uniformity : ResidualTest
        Kolmogorov and Smirnov's distance D from the uniform distribution.
    dispersion : ResidualTest
        Mean squared distance from ``fitted``; its ``ratio`` to that of the simulations is 1 under the model.
    zeros : ResidualTest or None
        Number of zeros; None where the response is continuous.
    outliers : ResidualTest
        Number of observations below or above all of their simulations.
    conditional : bool
        Were the conditional modes of the random effects kept?
    n : int
        Simulations.
    fit : MixedModelFit

    Notes
    -----
    Uniformity and outliers are tested as if the residuals were independent and the parameters known. They are
    neither: the parameters come from the same data, so the p-values are too large (and unconditional
    residuals of one group are alike, which works in the other direction). For the same reason the ratio of
    ``dispersion`` of conditional residuals is a little below 1 in a right model. :func:`glmmlib.check`
    calibrates its tests by refitting.
    """

    values: pd.Series
    fitted: pd.Series
    uniformity: ResidualTest
    dispersion: ResidualTest
    zeros: ResidualTest | None
    outliers: ResidualTest
    conditional: bool
    n: int
    fit: FittedModel = field(repr=False)

    @checked
    def autocorrelation(
        self,
        order: str,
        within: str | None = None,
        n: int = 999,
        rng: np.random.Generator | int | None = None,
    ) -> ResidualTest:
        r"""Test whether residuals next to each other in time are alike.

        .. math:: r_1 = \sum_j \sum_t z_{jt} z_{j,t+1} \Big/ \sum_j \sum_t z_{jt}^2,

        with z the normal scores of the residuals, centred in each group, and rows in time order within it.

        Parameters
        ----------
        order : str
            The column of the data that holds the time; within a group no time occurs twice.
        within : str, optional
            The column that says which rows form one series; by default the first grouping factor of the
            model.
        n : int
            Permutations of the rows within their groups, which give the null distribution.
        rng : numpy.random.Generator

        Returns
        -------
        ResidualTest
            Two-sided. Its ``expected`` is below zero, because residuals that are centred in a group sum to
            zero.

        Raises
        ------
        DataError
            For a column that is not there, a missing time, or one that occurs twice in a group.
        ModelError
            For something else than names, or no permutation.

        Notes
        -----
        Rows of a group are exchangeable under a random intercept. Where the model has a random slope over
        time, take conditional residuals.

        Examples
        --------
        >>> import numpy as np, glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
        >>> found = gl.simulated_residuals(fit, rng=np.random.default_rng(1))
        >>> found.autocorrelation("Days", rng=np.random.default_rng(2))
        0.3171 (expected -0.09781), p = 0.002; H0: successive residuals are unrelated
        """
        check_from_one("n", n)
        rng = require_generator(rng)
        codes = self._series_codes(within)
        time = self._time(order, codes)
        z = ndtri(self.values.to_numpy())
        z = z - (np.bincount(codes, z) / np.bincount(codes))[codes]
        sorted_rows = np.lexsort((time, codes))
        z, codes = z[sorted_rows], codes[sorted_rows]
        neighbours = codes[1:] == codes[:-1]
        total = z @ z

        def lag_one(x: FloatArray) -> float:
            return float((x[1:] * x[:-1])[neighbours].sum() / total)

        found = lag_one(z)
        drawn = np.array([lag_one(z[np.lexsort((rng.random(len(z)), codes))]) for _ in range(n)])
        return ResidualTest(
            found, float(drawn.mean()), two_sided(found, drawn), "successive residuals are unrelated"
        )

    def _series_codes(self, within):
        if within is None:
            groups = sorted(self.fit.groups, key=lambda g: g.is_curve)  # a curve is all rows
            return groups[0].factor.codes
        column = self._column(within)
        if column.isna().any():
            raise DataError(
                f"{within!r} is missing in {int(column.isna().sum())} rows, so their series is not known"
            )
        return pd.factorize(column)[0]

    def _time(self, order: str, codes: IntArray) -> IntArray:
        column = self._column(order)
        if column.isna().any():
            raise DataError(
                f"{order!r} is missing in {int(column.isna().sum())} rows, so their place in time is not "
                "known"
            )
        time = pd.factorize(column, sort=True)[0]
        twice = pd.DataFrame({"code": codes, "time": time}).duplicated()
        if twice.any():
            first = self.values.index[int(np.argmax(twice))]
            raise DataError(
                f"{order!r} holds the same value twice within a group (first in row {first}): name in "
                "`within` the"
                " column that tells the series apart"
            )
        return time

    def _column(self, name):
        data = self.fit.design.data
        if name not in data:
            raise DataError(
                f"there is no column {name!r} in the data of the fit; there are "
                f"{listed(list(data.columns), 8)}"
            )
        return data[name]

    def __repr__(self) -> str:
        kind = (
            "conditional on the estimated random effects" if self.conditional else "random effects drawn anew"
        )
        lines = [f"Simulated residuals ({self.n} simulations, {kind})"]
        for name in ("uniformity", "dispersion", "zeros", "outliers"):
            test = getattr(self, name)
            if test is not None:
                lines.append(f"  {name:<11} {test}")
        return "\n".join(lines)


@checked
def simulated_residuals(
    fit: FittedModel, n: int = 250, rng: np.random.Generator | int | None = None, conditional: bool = False
) -> SimulatedResiduals:
    r"""Compare each observation with n responses drawn from the fit.

    Parameters
    ----------
    fit : MixedModelFit
    n : int
        Simulations, 20 or more; residuals are resolved to 1 / (n + 1).
    rng : numpy.random.Generator
        The source of randomness, always to be given.
    conditional : bool
        Keep the conditional modes of the random effects. Without (the default, as in DHARMa) the random
        effects are drawn anew: the residuals judge the whole model, and those of one group are alike. With it
        they judge the distribution within groups.

    Returns
    -------
    SimulatedResiduals

    Raises
    ------
    ModelError
        Without a Generator, or for fewer than 20 simulations.

    References
    ----------
    Dunn and Smyth (1996), Randomized quantile residuals, *Journal of Computational and Graphical Statistics*
    5(3).

    Examples
    --------
    >>> import numpy as np
    >>> import glmmlib as gl
    >>> cbpp = gl.load("cbpp")
    >>> fit = gl.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    >>> found = gl.simulated_residuals(fit, rng=np.random.default_rng(1))
    >>> bool(found.uniformity.p > 0.05), bool(found.dispersion.p > 0.05)
    (True, True)
    """
    rng = require_generator(rng)
    if not isinstance(n, int | np.integer) or n < MIN_SIMULATIONS:
        raise ModelError(f"n is the number of simulations, {MIN_SIMULATIONS} or more, not {n!r}")
    y, drawn = fit.design.y, fit.simulate(n, rng=rng, conditional=conditional)
    below, ties = (drawn < y[:, None]).sum(axis=1), (drawn == y[:, None]).sum(axis=1)
    values = (below + rng.random(len(y)) * (1 + ties)) / (n + 1)
    fitted = drawn.mean(axis=1)
    return SimulatedResiduals(
        pd.Series(values, fit.design.index, name="residual"),
        pd.Series(fitted, fit.design.index, name="fitted"),
        _uniformity(values),
        _dispersion(y, drawn, fitted),
        _zeros(fit, y, drawn),
        _outliers(below, ties, n),
        conditional,
        int(n),
        fit,
    )


def uniform_distance(values: FloatArray) -> float:
    """Return Kolmogorov and Smirnov's D between values and the uniform distribution.

    >>> round(uniform_distance(np.array([0.1, 0.2, 0.6])), 3)
    0.467
    """
    n = len(values)
    values, steps = np.sort(values), np.arange(n + 1) / n
    return float(max((steps[1:] - values).max(), (values - steps[:-1]).max()))


def two_sided(found: float, drawn: FloatArray) -> float:
    """Return the two-sided Monte Carlo p-value of a statistic among draws under H0."""
    n = len(drawn)
    return float(min(1.0, 2.0 * min(1 + (drawn >= found).sum(), 1 + (drawn <= found).sum()) / (n + 1)))


def _uniformity(values: FloatArray) -> ResidualTest:
    from scipy.stats import kstwo

    D, n = uniform_distance(values), len(values)
    expected = np.sqrt(np.pi / 2) * np.log(2) / np.sqrt(n)  # Kolmogorov's distribution, for large n
    return ResidualTest(D, float(expected), float(kstwo.sf(D, n)), "the residuals are uniform")


def _dispersion(y, drawn, fitted):
    """Squares are taken relative to the variance of the simulations in each row, so that large means do not
    drown the rest.
    """
    variance = np.maximum(((drawn - fitted[:, None]) ** 2).mean(axis=1), 1e-300)
    used = variance > 1e-12 * variance.max()
    squares = ((drawn[used] - fitted[used, None]) ** 2 / variance[used, None]).mean(axis=0)
    found = float(((y[used] - fitted[used]) ** 2 / variance[used]).mean())
    return ResidualTest(
        found, float(squares.mean()), two_sided(found, squares), "the spread is that of the model"
    )


def _zeros(fit, y, drawn):
    if not counts_zeros(fit):
        return None
    expected, found = (drawn == 0).sum(axis=0), float((y == 0).sum())
    return ResidualTest(
        found, float(expected.mean()), two_sided(found, expected), "there are as many zeros as the model has"
    )


def counts_zeros(fit: FittedModel) -> bool:
    """Can the response be zero, and is a surplus of zeros a fault of its own?  Not for 0/1 data: there it is
    the mean.
    """
    return fit.family.counts_zeros(fit.observations[1])


def _outliers(below: IntArray, ties: IntArray, n: int) -> ResidualTest:
    count, expected = int(((ties == 0) & ((below == 0) | (below == n))).sum()), 2.0 * len(below) / (n + 1)
    p = float(bdtrc(count - 1, len(below), 2.0 / (n + 1))) if count else 1.0
    return ResidualTest(count, expected, p, "no more observations than expected lie outside all simulations")
