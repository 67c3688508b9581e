r"""The parametric bootstrap: simulate from the fit, fit again, and see how the estimates scatter.

For estimates whose distribution is far from normal (SDs, correlations, the ICC) it needs no formula. With B
replicates
:math:`\hat\psi^*_b` of an estimate :math:`\hat\psi`, and :math:`q_p` their quantile, the intervals are

- percentile: from :math:`q_{\alpha/2}` to :math:`q_{1-\alpha/2}`;
- basic: from :math:`2\hat\psi - q_{1-\alpha/2}` to :math:`2\hat\psi - q_{\alpha/2}`.

Davison and Hinkley (1997), *Bootstrap Methods and their Application*, chapter 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import places_of, values_of
from glmmlib.display.arguments import check_whole, checked, checked_level
from glmmlib.display.tables import Table, aligned
from glmmlib.display.words import listed, wrapped
from glmmlib.errors import GlmmlibError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.choice import chosen
from glmmlib.prediction.simulate import require_generator
from glmmlib.replicates.refits import Refits, each_fit, refit_many

KINDS = ("percentile", "basic")


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Estimates from responses that were simulated from a fit, made by ``fit.bootstrap``.

    Attributes
    ----------
    estimates : Series (k,)
        Those of the fit itself.
    replicates : DataFrame (n, k)
        Those of the refits.
    n_singular : int or None
        How many refits are singular, where that is known.
    bias, se : Series (k,)
        Mean of the replicates minus the estimate, and their standard deviation.
    formula : str
    """

    estimates: pd.Series
    replicates: pd.DataFrame
    n_singular: int | None
    formula: str

    @property
    def bias(self) -> pd.Series:
        """Mean of the replicates minus the estimate, (k,)."""
        return (self.replicates.mean() - self.estimates).rename("bias")

    @property
    def se(self) -> pd.Series:
        """Standard deviation of the replicates, (k,)."""
        return self.replicates.std().rename("se")

    @checked
    def conf_int(
        self, level: float = 0.95, parm: str | Sequence[str] | None = None, kind: str = "percentile"
    ) -> pd.DataFrame:
        """Return confidence intervals.

        Parameters
        ----------
        level : float
        parm : str or list of str, optional
        kind : {"percentile", "basic"}
            Quantiles of the replicates, or these mirrored at the estimate. A basic interval may leave the
            range of a parameter (an SD below zero); a percentile interval cannot.

        Returns
        -------
        DataFrame
            ``lower`` and ``upper``. ``attrs["notes"]`` says how many replicates were singular or had no
            value.

        Raises
        ------
        ModelError
            For an unknown kind or parameter, or a level that so few replicates cannot tell.

        Examples
        --------
        >>> import numpy as np
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> boot = fit.bootstrap(rng=np.random.default_rng(1))
        >>> boot.conf_int(parm="Intercept", kind="basic").round(-1).iloc[0].to_dict()
        {'lower': 1490.0, 'upper': 1570.0}
        """
        names = _names_asked(self.estimates, len(self.replicates), level, parm, kind)
        tail = 0.5 * (1.0 - level)
        lower, upper = (self.replicates[names].quantile(p) for p in (tail, 1.0 - tail))
        if kind == "basic":
            lower, upper = 2.0 * self.estimates[names] - upper, 2.0 * self.estimates[names] - lower
        table = pd.DataFrame({"lower": lower, "upper": upper})
        table.columns.name = f"bootstrap ({kind})"
        table.attrs["notes"] = tuple(self._notes(names))
        return table

    def _notes(self, names: Sequence[str]) -> Iterator[Any]:
        n = len(self.replicates)
        if self.n_singular:
            yield f"{self.n_singular} of {n} replicates are singular fits, and count as they are"
        for name, missing in self.replicates[names].isna().sum().items():
            if missing:
                yield (
                    f"{name}: undefined in {missing} of {n} replicates (an SD of zero has no correlation), "
                    "which do not count"
                )

    def __str__(self) -> str:
        table = pd.DataFrame({"estimate": self.estimates, "bias": self.bias, "se": self.se})
        enough = len(self.replicates) * 0.025 >= 1.0
        table = table.join(self.conf_int()) if enough else table
        cells = [aligned(list(table[c])) for c in table]
        what = "95 % percentile intervals" if enough else "too few replicates for intervals"
        caption = f"Parametric bootstrap, {len(self.replicates)} replicates of {self.formula}\n{what}"
        rows = tuple(zip(table.index, *cells, strict=True))
        text = Table(caption, ("", *table.columns), rows).to_text()
        return "\n".join([text, *map(wrapped, self._notes(list(self.estimates.index)))])

    __repr__ = __str__


@checked
def bootstrap(
    fit: FittedModel,
    n: int = 1000,
    statistic: Callable[..., Any] | None = None,
    rng: np.random.Generator | int | None = None,
) -> Bootstrap:
    """Simulate from a fit and fit again, `n` times (parametric bootstrap).

    Parameters
    ----------
    n : int
        Number of replicates.  1,000 are enough for 95 % intervals.
    statistic : callable, optional
        ``statistic(fit)`` returns a number, a dict or a Series of numbers; it is called with a fit of each
        response. By default all parameters: SDs, correlations, sigma (or the dispersion) and fixed effects.
    rng : numpy.random.Generator
        The source of randomness, always to be given.

    Returns
    -------
    Bootstrap
        With ``estimates``, ``replicates``, ``se``, ``bias`` and ``conf_int(level, parm, kind)``.

    Raises
    ------
    ModelError
        Without a Generator; for a statistic that fails, or returns no numbers or other ones each time.

    Notes
    -----
    New random effects and new observations are drawn with the fit's estimates taken for the truth. A REML fit
    is refitted by REML. With one grouping factor all fits are made at once (``fit.refit_many``); otherwise,
    and for a statistic of a generalised model, through joblib: ``with joblib.parallel_config("loky",
    n_jobs=4)`` uses four processes, with the same results. A statistic must then be defined at the top level
    of a module, so that it can be sent there.

    The estimate of an SD is biased downwards in small samples, and percentile intervals carry that bias
    twice: with 20 groups those of 95 % for an SD hold the true one in about 91 % of studies, and profile
    intervals in 93 to 98 % (``benchmarks/accuracy/interval_coverage.md``). For SDs prefer
    ``conf_int(method="profile")``.

    References
    ----------
    Davison and Hinkley (1997), *Bootstrap Methods and their Application*, Cambridge University Press.

    Examples
    --------
    >>> import numpy as np
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    >>> boot = fit.bootstrap(1000, rng=np.random.default_rng(1))
    >>> boot.conf_int(parm="sd Batch.Intercept").round(-1)
    bootstrap (percentile)  lower  upper
    sd Batch.Intercept        0.0   70.0
    """
    check_count(n)
    Y = fit.simulate(n, require_generator(rng))
    if statistic is None:
        many = refit_many(fit, Y, errors=False)
        return Bootstrap(_of_fit(fit), _of_refits(fit, many), int(many.is_singular.sum()), fit.model_text)
    asked = _Statistic(statistic)
    estimates = asked(fit)
    replicates = pd.DataFrame([asked.like(estimates, row) for row in each_fit(fit, Y, asked)])
    return Bootstrap(estimates, replicates.set_axis(estimates.index, axis=1), None, fit.model_text)


def bootstrap_of(
    fit: FittedModel, function: Callable[..., Any], n: int, rng: np.random.Generator | int | None
) -> Bootstrap:
    """Return the :class:`~glmmlib.inference.bootstrap.Bootstrap` of ``function(fit)``, a Series, over n
    refits to simulated responses.

    ``function`` is called with the fit at the refits' parameters, so that all refits can be made at
    once.
    """
    check_count(n)
    estimates = function(fit)
    refits = refit_many(fit, fit.simulate(n, require_generator(rng)), errors=False)
    rows = [function(fit.at(refits.estimates(r))).to_numpy() for r in range(n)]
    replicates = pd.DataFrame(rows, columns=estimates.index)
    return Bootstrap(estimates, replicates, int(refits.is_singular.sum()), fit.model_text)


def check_count(n: int) -> None:
    """Refuse a number of replicates that is none."""
    check_whole("n", n)
    if n < 2:
        raise ModelError(f"n is the number of replicates, 2 or more, not {n!r}")


@dataclass(frozen=True)
class _Statistic:
    """The caller's function of a fit, whose answers are Series of numbers and whose errors are told."""

    function: Callable[..., Any]

    def __call__(self, fit: FittedModel) -> pd.Series:
        try:
            given = self.function(fit)
        except GlmmlibError:
            raise
        except Exception as error:
            raise ModelError(
                "the statistic is called with a fit, and there it failed with "
                f"{type(error).__name__}: {error}"
            ) from error
        value = given
        if not isinstance(value, pd.Series | dict):
            value = {"statistic": value} if np.ndim(value) == 0 else dict(enumerate(np.ravel(value)))
        try:
            if not len(value) or any(one is None for one in dict(value).values()):
                raise TypeError
            return pd.Series(value).astype(float)
        except (TypeError, ValueError, OverflowError):
            raise ModelError(
                f"the statistic returned {type(given).__name__} that holds no numbers: return a number, a "
                "dict or a Series"
            ) from None

    def like(self, first: pd.Series, row: pd.Series) -> pd.Series:
        """Return the answer to a refit, which has to name what the answer to the fit names."""
        if not row.index.equals(first.index):
            here, there = (f"{len(one)} numbers ({listed(list(one.index))})" for one in (first, row))
            raise ModelError(
                f"the statistic returned {here} for the fit and {there} for a refit: return the same ones "
                "each time"
            )
        return row


def _of_refits(fit: FittedModel, many: Refits) -> pd.DataFrame:
    """All parameters of the refits, in the names and order of :func:`glmmlib.profile`."""
    rest = many.auxiliary_estimates.rename(columns=lambda name: _free_name(name, fit))
    return pd.concat([many.quantities, rest, many.params], axis=1)


def _of_fit(fit: FittedModel) -> pd.Series:
    found = values_of(fit.groups, fit.theta.to_numpy(), fit.scale)
    values = {place.name: value for place, value in zip(places_of(fit.groups), found, strict=True)}
    values |= {_free_name(name, fit): value for name, value in fit.auxiliary_estimates.items()}
    return pd.Series({**values, **fit.params}, dtype=float, name="estimate")


def _free_name(name: str, fit: FittedModel) -> str:
    return f"{name} of the residuals" if name in fit.params.index else name


def _names_asked(estimates, n, level, parm, kind):
    """Return the parameters that intervals are asked for, if everything about the question is right."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(f"kind is {KINDS[0]!r} or {KINDS[1]!r}, not {kind!r}")
    tail = 0.5 * (1.0 - checked_level(level))
    if n * tail < 1.0:
        raise ModelError(
            f"{n} replicates cannot tell an interval of level {level:g}: use {int(np.ceil(10 / tail))} "
            "or more"
        )
    return chosen(parm, list(estimates.index), "the bootstrap has no parameter {name}{hint}")


def bootstrap_intervals(
    fit: FittedModel,
    level: float,
    parm: str | Sequence[str] | None,
    n: int = 1000,
    rng: np.random.Generator | int | None = None,
    kind: str = "percentile",
    statistic: Callable[..., Any] | None = None,
) -> pd.DataFrame:
    """The method ``"bootstrap"`` of ``fit.conf_int``."""
    check_count(n)
    require_generator(rng)
    estimates = _of_fit(fit) if statistic is None else _Statistic(statistic)(fit)
    _names_asked(estimates, n, level, parm, kind)  # before the refits
    return bootstrap(fit, n, statistic, rng).conf_int(level, parm, kind)
