"""A likelihood-ratio test whose null distribution is simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmlib.comparison.nesting import check_comparable, nested_step, one_criterion, row_order
from glmmlib.display.arguments import checked
from glmmlib.display.words import wrapped
from glmmlib.fitted import FittedModel
from glmmlib.inference.bootstrap import check_count
from glmmlib.prediction.simulate import require_generator
from glmmlib.replicates.refits import refit_many


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """A likelihood-ratio test whose null distribution is simulated, made by :func:`glmmlib.bootstrap_test`.

    Attributes
    ----------
    statistic : float
        ``deviance(m0) - deviance(m1)``.
    null : (n,) array
        The statistics of responses simulated from m0.
    p, p_error : float
        ``(1 + number of null statistics at least as large) / (n + 1)``, and its Monte Carlo standard error.
    hypothesis : str
    criterion : {"ML", "REML"}
    """

    statistic: float
    null: np.ndarray
    p: float
    p_error: float
    hypothesis: str
    criterion: str

    def __str__(self) -> str:
        at_zero = float(np.mean(self.null < 1e-6))
        share = f"; {at_zero:.0%} of them are zero" if at_zero >= 0.005 else ""
        return "\n".join(
            [
                f"Likelihood-ratio test by parametric bootstrap ({self.criterion})",
                wrapped(f"H0: {self.hypothesis}"),
                f"chi2 = {self.statistic:.3f}, p = {self.p:.4f} (Monte Carlo SE {self.p_error:.4f})",
                wrapped(
                    f"null distribution: {len(self.null)} responses simulated from the smaller model{share}"
                ),
            ]
        )

    __repr__ = __str__


@checked
def bootstrap_test(
    m0: FittedModel,
    m1: FittedModel,
    n: int = 1000,
    rng: np.random.Generator | int | None = None,
    refit: bool = True,
) -> BootstrapTest:
    """Test nested models by a likelihood ratio whose null distribution is simulated.

    It needs no table, so it also holds where two or more variances are zero under H0, and in small samples.

    Parameters
    ----------
    m0, m1 : MixedModelFit
        The smaller and the larger model (in any order).
    n : int
        Responses to simulate from the smaller model; the p-value is never below 1 / (n + 1).
    rng : numpy.random.Generator
        The source of randomness, always to be given.
    refit : bool
        Refit REML fits by ML first, as :func:`anova` does.

    Returns
    -------
    BootstrapTest

    Raises
    ------
    ModelError
        As :func:`anova`, where the comparison would be invalid; without a Generator.

    References
    ----------
    Davison and Hinkley (1997), *Bootstrap Methods and their Application*, chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> import glmmlib as gl
    >>> sleep = gl.load("sleepstudy")
    >>> m0, m1 = (gl.lmer(f"Reaction ~ Days + ({x} | Subject)", sleep, reml=False) for x in ("1", "Days"))
    >>> gl.bootstrap_test(m0, m1, n=500, rng=np.random.default_rng(1))
    Likelihood-ratio test by parametric bootstrap (ML)
    H0: the variance of Days between levels of Subject is zero (the correlations
        vanish with that variance)
    chi2 = 42.139, p = 0.0020 (Monte Carlo SE 0.0020)
    null distribution: 500 responses simulated from the smaller model
    """
    rng = require_generator(rng)
    check_count(n)
    check_comparable((m0, m1))
    (m0, m1), criterion, _ = one_criterion((m0, m1), refit)
    m0, m1 = sorted((m0, m1), key=lambda fit: fit.n_parameters)
    step = nested_step(m0, m1, criterion == "REML")
    Y, order = m0.simulate(n, rng), row_order(m1, m0)
    in_m1 = Y if order is None else Y[order]
    null = np.maximum(
        refit_many(m0, Y, errors=False).deviance - refit_many(m1, in_m1, errors=False).deviance, 0.0
    )
    statistic = max(m0.deviance - m1.deviance, 0.0)
    p = (1 + int((null >= statistic - 1e-6).sum())) / (n + 1)
    return BootstrapTest(
        statistic, null, p, float(np.sqrt(p * (1 - p) / (n + 1))), step.hypothesis, criterion
    )
