r"""The exact test of one variance, with its null distribution simulated from eigenvalues.

The mixture of chi-squares for a variance of zero holds when there are many independent groups; with one
variance component the distribution for the data at hand is known. With the eigenvalues :math:`\mu_s` of
:math:`Z'PZ` (P projects off X), K of them positive, and independent standard normal :math:`w_s`, the
restricted likelihood-ratio statistic is distributed as

.. math::

    \sup_{\lambda \ge 0} \Big\{ (n - p) \log\frac{\sum_s w_s^2}{D(\lambda)} - \sum_{s=1}^K \log(1 +
    \lambda\mu_s) \Big\},
    \quad D(\lambda) = \sum_{s=1}^K \frac{w_s^2}{1 + \lambda\mu_s} + \sum_{s=K+1}^{n-p} w_s^2,

:math:`\lambda = \sigma_b^2 / \sigma^2`. For the likelihood-ratio statistic n takes the place of n - p in
front of the logarithm, and the eigenvalues of :math:`Z'Z` that of :math:`\mu_s` in the last sum. A draw costs
one chi-square variate for each distinct eigenvalue.

Crainiceanu and Ruppert (2004), Likelihood ratio tests in linear mixed models with one variance component,
*Journal of the Royal Statistical Society B* 66, 165-185.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import numpy as np
from scipy.special import chdtrc

from glmmlib.covariance.groups import refuse_curves
from glmmlib.design.residual import refuse_residual_side
from glmmlib.display.arguments import checked
from glmmlib.display.tables import p_text
from glmmlib.display.words import wrapped
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.prediction.simulate import require_generator
from glmmlib.types import FloatArray

GRID = np.concatenate(
    [[0.0], np.geomspace(1e-4, 1e5, 300)]
)  # lambda times the mean eigenvalue: the supremum to 1e-4
CHUNK_NUMBERS = 2_000_000


@dataclass(frozen=True, eq=False)
class ExactTest:
    """The result of :func:`glmmlib.exact_rlrt`; ``print`` shows it with its null hypothesis.

    Attributes
    ----------
    hypothesis : str
        H0 in words.
    criterion : {"REML", "ML"}
        Restricted likelihood-ratio test of a REML fit, or likelihood-ratio test of an ML fit.
    statistic : float
        Difference of the criterion between the model without the variance and the fit.
    p, p_se : float
        ``(1 + number of draws at least as large) / (1 + number of draws)``, and its Monte Carlo standard
        error.
    p_mixture : float
        What the mixture 0.5 chi2(0) + 0.5 chi2(1) would say.
    share_zero : float
        Share of the draws that are zero; the mixture's is one half.
    draws : (n,) array
        The simulated null distribution.
    """

    hypothesis: str
    criterion: str
    statistic: float
    p: float
    p_se: float
    p_mixture: float
    share_zero: float
    draws: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        name, title = (
            ("RLRT", "restricted likelihood-ratio")
            if self.criterion == "REML"
            else ("LRT", "likelihood-ratio")
        )
        p, mixture = (f"< {1e-3:g}" if x < 1e-3 else f"= {p_text(x)}" for x in (self.p, self.p_mixture))
        lines = [
            f"Exact {title} test of one variance ({len(self.draws):,} simulated null values)",
            f"H0: {self.hypothesis}",
            f"{name} = {self.statistic:.3f}, p {p} (Monte Carlo standard error {self.p_se:.1g})",
            f"under H0 {name} is zero in {self.share_zero:.0%} of the draws; 0.5 chi2(0) + 0.5 chi2(1) "
            f"would say p {mixture}",
        ]
        return "\n".join(map(wrapped, lines))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<div class="glmmlib"><pre>{escape(str(self))}</pre></div>'


@checked
def exact_rlrt(fit: FittedModel, n: int = 10_000, rng: np.random.Generator | int | None = None) -> ExactTest:
    """Test whether the one variance of a linear mixed model is zero, by its simulated exact null
    distribution.

    Parameters
    ----------
    fit : LinearMixedModelFit
        With one random-effects term of one effect: ``(1 | g)`` or ``(0 + x | g)``. A REML fit is tested by
        its restricted likelihood, which is the more powerful; an ML fit by its likelihood.
    n : int
        Draws from the null distribution.
    rng : numpy.random.Generator
        The source of randomness, always to be given.

    Returns
    -------
    ExactTest

    Raises
    ------
    ModelError
        For a generalised model or more than one variance, where the null distribution depends on other
        variances or is not known: simulate from the smaller fit and refit both models (a parametric
        bootstrap). Also without a Generator.

    Notes
    -----
    Exact for normal errors, whatever the number and sizes of the groups, but for the number of draws and the
    grid on which the supremum is sought (then refined by a parabola).

    References
    ----------
    Crainiceanu and Ruppert (2004), *Journal of the Royal Statistical Society B* 66, 165-185.

    Examples
    --------
    >>> import numpy as np
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    >>> gl.exact_rlrt(fit, 100_000, rng=np.random.default_rng(1))
    Exact restricted likelihood-ratio test of one variance (100,000 simulated null
        values)
    H0: the variance of Intercept between levels of Batch is zero
    RLRT = 6.369, p = 0.004 (Monte Carlo standard error 0.0002)
    under H0 RLRT is zero in 56% of the draws; 0.5 chi2(0) + 0.5 chi2(1) would say p
        = 0.006
    """
    _check(fit, n)
    rng = require_generator(rng)
    problem, group = fit.solution.problem, fit.groups[0]
    statistic = problem.at([np.zeros((1, 1))]).value - fit.deviance
    statistic = statistic if statistic > 1e-8 else 0.0
    draws = _null_draws(Spectrum.of(problem), int(n), rng)
    p = (1 + np.count_nonzero(draws >= statistic)) / (n + 1)
    return ExactTest(
        hypothesis=f"the variance of {group.columns[0]} between levels of {group.name} is zero",
        criterion="REML" if fit.reml else "ML",
        statistic=float(statistic),
        p=float(p),
        p_se=float(np.sqrt(p * (1.0 - p) / n)),
        p_mixture=float(0.5 * chdtrc(1, statistic)) if statistic else 1.0,
        share_zero=float(np.mean(draws == 0)),
        draws=draws,
    )


def _check(fit: FittedModel, n: int) -> None:
    bootstrap = "simulate from the smaller fit and refit both models instead (a parametric bootstrap)"
    if not fit.is_linear:
        raise ModelError(f"the exact test is for linear mixed models; for a generalised one {bootstrap}")
    refuse_curves(fit.groups, "the exact test of a variance")
    refuse_residual_side(fit.design, "the exact test of a variance")
    sizes = {g.name: g.q for g in fit.groups}
    if sum(sizes.values()) != 1:
        found = ", ".join(f"{q} of {name}" for name, q in sizes.items())
        raise ModelError(
            f"the exact test is for one variance, and this model has {sum(sizes.values())} ({found}), whose "
            "null"
            f" distribution depends on the others: {bootstrap}"
        )
    if not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"n is the number of draws, a whole number from 1 on, not {n!r}")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What the null distribution of one design rests on: the distinct eigenvalues of Z'PZ, how often each
    occurs, how many residual directions have none, and those of the log-determinant (of Z'PZ for REML, of Z'Z
    for ML).
    """

    mu: np.ndarray
    size: np.ndarray
    n_rest: float
    penalty: tuple
    df: int

    @classmethod
    def of(cls, problem: ProfiledDeviance) -> Spectrum:
        full, with_X = problem.cross.A[0][0, 0], problem.cross.ZX[0][0]
        mu, size = _distinct(np.linalg.eigvalsh(np.diag(full) - with_X.T @ with_X))
        penalty = (mu, size) if problem.reml else _distinct(full)
        return cls(mu, size, problem.n - problem.p - size.sum(), penalty, problem.df)

    def statistics(self, w2: FloatArray, rest: FloatArray) -> FloatArray:
        """Return the statistic for sums of squares ``w2`` (n, distinct eigenvalues) and ``rest`` (n,)."""
        lam = GRID / (np.average(self.mu, weights=self.size) if len(self.mu) else 1.0)
        shrunken = 1.0 / (1.0 + np.outer(self.mu, lam))
        log_det = np.log1p(np.outer(lam, self.penalty[0])) @ self.penalty[1]
        total = w2.sum(axis=1) + rest
        return _maxima(self.df * np.log(total[:, None] / (w2 @ shrunken + rest[:, None])) - log_det)


def _null_draws(spectrum: Spectrum, n: int, rng: np.random.Generator) -> FloatArray:
    """Draw from the null distribution of the statistic."""
    draws, step = np.empty(n), max(1, CHUNK_NUMBERS // len(GRID))
    for first in range(0, n, step):
        m = min(step, n - first)
        w2 = rng.chisquare(spectrum.size, (m, len(spectrum.size)))
        rest = rng.chisquare(spectrum.n_rest, m) if spectrum.n_rest else np.zeros(m)
        draws[first : first + m] = spectrum.statistics(w2, rest)
    return draws


def _distinct(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distinct positive values and how often each occurs."""
    values = values[values > 1e-9 * values.max(initial=0.0)]
    _, first, count = np.unique(
        np.round(values / values.max(initial=1e-300), 10), return_index=True, return_counts=True
    )
    return values[first], count.astype(float)


def _maxima(curves: FloatArray) -> FloatArray:
    """Return the maximum of each row, refined by a parabola in log lambda; never below the value 0 at lambda
    = 0.
    """
    best = np.argmax(curves, axis=1)
    inner = (best > 1) & (best < curves.shape[1] - 1)
    at = np.where(inner, best, 2)
    rows = np.arange(len(curves))
    left, middle, right = (curves[rows, at + d] for d in (-1, 0, 1))
    bend = np.minimum(left - 2.0 * middle + right, -1e-300)
    refined = middle - (right - left) ** 2 / (8.0 * bend)
    return np.maximum(np.where(inner, refined, curves[rows, best]), 0.0)
