"""Marginal and conditional R2: the shares of the variance that fixed effects, and all effects, explain."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.bootstrap import bootstrap_of
from glmmlib.variance.between import sampled
from glmmlib.variance.icc import SCALES, _check_choice, _pieces


@dataclass(frozen=True, eq=False)
class RSquared:
    """Marginal and conditional R2, with the variances they are made of.

    Attributes
    ----------
    marginal, conditional : float
    fixed : float
        Variance of the fixed part over the data.
    random : Series
        Variances between the levels, by grouping factor; with random slopes the mean over the data.
    residual : float
    scale : str
        On which scale, and by which formula, the residual variance of a generalised model was taken.
    """

    marginal: float
    conditional: float
    fixed: float
    random: pd.Series
    residual: float
    scale: str
    _again: Any = field(default=None, repr=False)

    @checked
    def conf_int(
        self, level: float = 0.95, n: int = 999, rng: np.random.Generator | int | None = None
    ) -> pd.DataFrame:
        """Return bootstrap intervals (percentile), with rows ``"marginal"`` and ``"conditional"``.

        Parameters
        ----------
        level : float
        n : int
            Refits to responses drawn from the fit.
        rng : numpy.random.Generator

        Returns
        -------
        DataFrame
            ``lower`` and ``upper``.

        Examples
        --------
        >>> import numpy as np, glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
        >>> gl.r2(fit).conf_int(rng=np.random.default_rng(1)).round(2)
        bootstrap (percentile)  lower  upper
        marginal                 0.19   0.41
        conditional              0.59   0.79
        """
        return self._again(level, n, rng)

    def __repr__(self) -> str:
        pieces = [
            f"{self.fixed:.4g} fixed part",
            *(f"{v:.4g} between levels of {name}" for name, v in self.random.items()),
        ]
        where = f" ({self.scale})" if self.scale else ""
        return (
            f"R2 = {self.marginal:.3f} marginal, {self.conditional:.3f} conditional{where}: variance "
            f"{', '.join(pieces)},"
            f" {self.residual:.4g} residual"
        )


@checked
def r2(fit: FittedModel, scale: str | None = None) -> RSquared:
    r"""Return the marginal and the conditional R2 of Nakagawa and Schielzeth.

    .. math::

        R^2_m = \frac{\sigma^2_f}{\sigma^2_f + \sigma^2_b + \sigma^2_\epsilon}, \qquad
        R^2_c = \frac{\sigma^2_f + \sigma^2_b}{\sigma^2_f + \sigma^2_b + \sigma^2_\epsilon},

    with :math:`\sigma^2_f = \operatorname{Var}(X\hat\beta)` over the data (n - 1), :math:`\sigma^2_b` the
    mean of
    :math:`z'\hat\Sigma z` over the data (Johnson 2014), and the residual variance.

    Parameters
    ----------
    fit : MixedModelFit
    scale : {"latent", "observation"}, optional
        For a generalised model, as in :func:`glmmlib.icc`: the scale of the linear predictor (the default),
        or that of the responses.

    Returns
    -------
    RSquared
        With ``marginal``, ``conditional``, the variances, and ``conf_int`` by bootstrap.

    Raises
    ------
    ModelError
        For an unknown scale, and for a fit whose fixed part has no finite variance (separation).

    Notes
    -----
    For random intercepts Nakagawa and Schielzeth (2013). The residual variance on the latent scale is pi^2/3
    (logit), 1 (probit), pi^2/6 (cloglog), log(1 + Var(y)/mu^2) (log link, mu the mean that the model implies
    for the data), otherwise by the delta method. R's ``performance`` (0.10) takes mu from an intercept-only
    model, at a random effect of zero, so its R2 of count models differs. An offset is not part of the fixed
    variance; curves ``s(x)`` are.

    References
    ----------
    Nakagawa and Schielzeth (2013), A general and simple method for obtaining R2 from generalized linear
    mixed-effects models, *Methods in Ecology and Evolution* 4.

    Johnson (2014), Extension of Nakagawa and Schielzeth's R2 GLMM to random slopes models, *Methods in
    Ecology and Evolution* 5.

    Nakagawa, Johnson and Schielzeth (2017), The coefficient of determination R2 and intra-class correlation
    coefficient from generalized linear mixed-effects models revisited and expanded, *Journal of the Royal
    Society Interface* 14.

    Examples
    --------
    >>> import glmmlib as gl
    >>> gl.r2(gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy")))
    R2 = 0.279 marginal, 0.799 conditional: variance 909 fixed part, 1698 between levels of Subject,
    654.9 residual
    """
    if scale is not None:
        _check_choice("scale", scale, SCALES)
    if fit.solution.separation is not None:
        raise ModelError(
            f"R2 compares variances, and that of the fixed part has no finite estimate: {fit.separation}"
        )
    return _r2(fit, scale)


def _r2(fit, scale):
    _, pieces = _pieces(fit, None, "unadjusted", scale)
    fixed, total, residual = float(pieces.fixed), float(pieces.total), float(pieces.residual)
    everything = fixed + total + residual
    random = pd.Series([float(v) for v in pieces.between], [g.name for g, _ in sampled(fit)], name="variance")

    return RSquared(
        fixed / everything,
        (fixed + total) / everything,
        fixed,
        random,
        residual,
        _scale_words(fit, scale),
        partial(_intervals, fit, scale),
    )


def _intervals(
    fit: FittedModel, scale: str | None, level: float, n: int, rng: np.random.Generator
) -> pd.DataFrame:
    return bootstrap_of(fit, lambda one: _shares(_r2(one, scale)), n, rng).conf_int(level)


def _shares(found: RSquared) -> pd.Series:
    return pd.Series({"marginal": found.marginal, "conditional": found.conditional})


def _scale_words(fit: FittedModel, scale: str | None) -> str:
    if fit.is_linear:
        return ""
    if scale == "observation":
        return "observation scale"
    return f"latent scale, residual variance {fit.family.residual_formula}"
