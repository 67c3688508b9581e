"""The result of :func:`glmmlib.posterior`: draws, and what can be read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.bayes.claims import holds
from glmmlib.bayes.engine import Draws, run
from glmmlib.bayes.predictions import linear_predictors, observations, on_scale, open_variances
from glmmlib.bayes.scores import NormalScores
from glmmlib.bayes.specification import Priors
from glmmlib.covariance.groups import places_of
from glmmlib.design.arguments import finite_numbers
from glmmlib.design.frames import as_frame
from glmmlib.display.arguments import checked
from glmmlib.display.tables import Table, aligned, fixed, html_with_notes
from glmmlib.display.words import counted, wrapped
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.prediction.rows import (
    chosen_effects,
    refuse_split_groups,
    rows_to_predict,
    weights_of_rows,
)
from glmmlib.prediction.simulate import require_generator
from glmmlib.types import ArrayLike, FloatArray

FACTORS = (0.2, 1.0, 2.0)  # of the SDs' priors, to see how much they matter


@dataclass(frozen=True, eq=False)
class Posterior:
    """The result of :func:`glmmlib.posterior`; ``print`` shows it with its priors in numbers.

    Attributes
    ----------
    fit : MixedModelFit
    draws : DataFrame
        One row for each draw, one column for each parameter: coefficients, SDs and correlations of the random
        effects (``"sd g.Intercept"``), and ``"sigma"`` or ``"dispersion"``. The draws are independent but for
        being drawn with replacement, and in random order.
    khat : float
        Shape of the tail of the importance weights; draws above 0.7 are refused.
    ess : float
        Effective sample size: Monte Carlo errors are those of so many independent draws.
    priors : Priors
        Their ``described()`` names each with its numbers.
    method : str
        How the random effects were integrated out.
    random_effects : dict of arrays (draws, q, J)
        By grouping factor.
    """

    fit: FittedModel = field(repr=False)
    priors: Priors
    _draws: Draws = field(repr=False)
    _seed: int = field(repr=False)

    @property
    def draws(self) -> pd.DataFrame:
        return self._draws.frame.copy()

    @property
    def khat(self) -> float:
        return self._draws.khat

    @property
    def ess(self) -> float:
        return self._draws.ess

    @property
    def method(self) -> str:
        return self._draws.method

    @property
    def random_effects(self) -> dict[str, FloatArray]:
        return {g.name: b for g, b in zip(self.fit.groups, self._draws.random, strict=True)}

    def _rng(self, rng: Any) -> np.random.Generator:
        """Without a generator, what a method draws is the same each time."""
        return np.random.default_rng(self._seed) if rng is None else require_generator(rng)

    # -- parameters --------------------------------------------------------------------------------------

    @checked
    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, median, SD and interval of each parameter, and the share of draws above zero.

        Parameters
        ----------
        level : float
            The interval has equal tails.

        Returns
        -------
        DataFrame
            Columns ``mean``, ``median``, ``sd``, ``lower``, ``upper``, ``above 0``.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> found = gl.posterior(fit, rng=1).summary(level=0.9)
        >>> found.loc["sd Batch.Intercept", ["lower", "upper"]].round(-1).to_list()
        [20.0, 100.0]
        """
        d = self._draws.frame
        tail = 0.5 - 0.5 * level
        quantiles = d.quantile([tail, 1.0 - tail]).to_numpy()
        columns = {"mean": d.mean(), "median": d.median(), "sd": d.std(), "lower": quantiles[0]}
        return pd.DataFrame(columns | {"upper": quantiles[1], "above 0": (d > 0).mean()})

    def probability(self, claim: str) -> float:
        """Return the share of draws for which a claim holds.

        Parameters
        ----------
        claim : str
            A comparison of sums, products and powers of parameters by their names in ``draws``, with ``abs``,
            ``exp``, ``log`` and ``sqrt``.

        Returns
        -------
        float

        Raises
        ------
        ModelError
            For a claim that cannot be read, or names no parameter.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> post = gl.posterior(fit, rng=1)
        >>> round(post.probability("Days > 5"), 2), round(post.probability("0 < Days < 10"), 1)
        (1.0, 0.4)
        """
        return float(holds(claim, self._draws.frame).mean())

    # -- groups ------------------------------------------------------------------------------------------

    @checked
    def ranef(self, level: float = 0.95) -> dict[str, pd.DataFrame]:
        """Return means of the random effects with SDs and intervals, by grouping factor.

        Parameters
        ----------
        level : float

        Returns
        -------
        dict of DataFrame
            One row for each level; for each effect its mean and columns ``"sd Days"``, ``"lower Days"``,
            ``"upper Days"``. Unlike ``fit.ranef`` they hold the uncertainty of all parameters.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> gl.posterior(fit, rng=1).ranef()["Batch"].columns.to_list()
        ['Intercept', 'sd Intercept', 'lower Intercept', 'upper Intercept']
        """
        tail = 0.5 - 0.5 * level
        tables: dict[str, pd.DataFrame] = {}
        for g, b in zip(self.fit.groups, self._draws.random, strict=True):
            lower, upper = np.quantile(b, [tail, 1.0 - tail], axis=0)
            values = {"": b.mean(axis=0), "sd": b.std(axis=0, ddof=1), "lower": lower, "upper": upper}
            tables |= {name: pd.DataFrame(*found) for name, found in g.tables(values).items()}
        return tables

    # -- rows --------------------------------------------------------------------------------------------

    @checked
    def predict(
        self,
        newdata: Any = None,
        re_form: str | None = None,
        kind: str = "response",
        allow_new_levels: bool = False,
        interval: str = "confidence",
        level: float = 0.95,
        offset: str | ArrayLike | None = None,
        weights: str | ArrayLike | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> pd.DataFrame:
        """Predict means or new observations, with the uncertainty of all parameters.

        Parameters
        ----------
        newdata : DataFrame, optional
            Rows to predict; those of the fit if None.
        re_form : str, optional
            Which random effects take part, as in ``fit.predict``: all (None), none (``"~0"``), those named,
            or ``"marginal"``, the mean over all groups.
        kind : {"response", "link"}
        allow_new_levels : bool
            Let groups that the fit has not seen draw their effects from the distribution of groups.
        interval : {"confidence", "prediction"}
            Of the mean, or of a new observation. The latter also draws the effects that `re_form` leaves out,
            a new group for each row.
        level : float
        offset, weights : column name or array, optional
            As in ``fit.predict``.
        rng : numpy.random.Generator, optional
            For what is drawn beside the parameters; without it the same is drawn each time.

        Returns
        -------
        DataFrame
            Columns ``estimate`` (the posterior mean), ``lower`` and ``upper``, with the index of `newdata`.

        Raises
        ------
        DataError, ModelError, FormulaError
            As ``fit.predict``.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> post = gl.posterior(fit, rng=1)
        >>> post.predict({"Days": [5]}, re_form="~0").round(0).astype(int).to_numpy().tolist()
        [[304, 283, 324]]
        """
        if kind not in ("response", "link"):
            raise ModelError(f"kind is 'response' or 'link', not {kind!r}")
        if interval not in ("confidence", "prediction"):
            raise ModelError(f"interval is 'confidence' or 'prediction', not {interval!r}")
        is_new = interval == "prediction"
        if is_new and (re_form == "marginal" or kind == "link"):
            raise ModelError(
                "a prediction interval is one for a new observation: leave out re_form='marginal' and "
                "kind='link'"
            )
        if weights is not None and not is_new:
            raise ModelError("weights= are the precisions of new observations: ask for interval='prediction'")
        fit, draws, generator = self.fit, self._draws, self._rng(rng)
        used = chosen_effects(fit, re_form)
        if is_new:
            refuse_split_groups(fit, used, re_form)
        is_marginal = re_form == "marginal"
        rows = rows_to_predict(
            fit, newdata, used, is_marginal or is_new, allow_new_levels, offset, needs_own=False
        )
        new_levels = self._new_levels(rows, newdata, used, is_new, allow_new_levels)
        eta = linear_predictors(rows, draws.beta, draws.random, draws.roots, new_levels, generator)
        if is_new:
            own = weights_of_rows(fit, newdata, weights, rows.complete)
            values = observations(fit, eta, own, draws.auxiliary, generator)
        else:
            unknown = open_variances(rows, draws.roots) if is_marginal else None
            values = on_scale(fit, eta, kind, unknown, draws.auxiliary)
        tail = 0.5 - 0.5 * level
        values[:, ~rows.complete] = np.nan
        lower, upper = np.quantile(values, [tail, 1.0 - tail], axis=0)
        return pd.DataFrame({"estimate": values.mean(axis=0), "lower": lower, "upper": upper}, rows.index)

    def _new_levels(self, rows, newdata, used, is_new, allow_new_levels):
        """Number the new level of each row, for each grouping factor; -1 where there is none."""
        found = []
        for g, effects, mask in zip(self.fit.groups, rows.effects, used, strict=True):
            numbers = np.full(len(rows.index), -1)
            if is_new and not mask.any():
                numbers = np.arange(len(rows.index))
            elif newdata is not None and allow_new_levels and mask.any():
                labels = as_frame(newdata)[list(g.terms[0].groups)].astype(str).agg("\x1f".join, axis=1)
                numbers = np.where(effects.known, -1, pd.factorize(labels)[0])
            found.append(np.where(rows.complete, numbers, -1))
        return found

    # -- priors ------------------------------------------------------------------------------------------

    @checked
    def prior_predictive(self, n: int = 1000, rng: np.random.Generator | int | None = None) -> FloatArray:
        """Draw responses for the rows of the fit from the priors alone: what the model holds possible before
        it sees the data.

        Parameters
        ----------
        n : int
            How many responses.
        rng : numpy.random.Generator, optional
            Without it the same are drawn each time.

        Returns
        -------
        (nobs, n) array
            Binomial responses as proportions.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> gl.posterior(fit, rng=1).prior_predictive(500).shape
        (30, 500)
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ModelError(f"n is the number of responses, 1 or more, not {n!r}")
        fit, generator = self.fit, self._rng(rng)
        scores = NormalScores(fit, self.priors)
        par = scores.at(generator.standard_normal((n, scores.size)))
        beta = par.beta
        if beta is None:
            assert par.spread is not None
            at_means = scores.location + par.spread * generator.standard_normal(par.spread.shape)
            beta = at_means @ scores.to_user.T
        random = [
            root @ generator.standard_normal((n, g.q, len(g.levels)))
            for g, root in zip(fit.groups, par.roots, strict=True)
        ]
        used = chosen_effects(fit, None)
        rows = rows_to_predict(fit, None, used, False, False, None, needs_own=False)
        nobody = [np.full(fit.nobs, -1)] * len(random)
        eta = linear_predictors(rows, beta, random, par.roots, nobody, generator)
        own = weights_of_rows(fit, None, None, rows.complete)
        return observations(fit, fit.family.within(eta), own, par.auxiliary, generator).T

    @checked
    def sensitivity(self, factors: Sequence[float] = FACTORS, level: float = 0.95) -> pd.DataFrame:
        """Draw again with the priors of the random effects' SDs narrower and wider.

        Parameters
        ----------
        factors : sequence of float
            By which the widths of these priors are multiplied.
        level : float

        Returns
        -------
        DataFrame
            By parameter and factor: ``mean``, ``lower``, ``upper``.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> table = gl.posterior(fit, rng=1).sensitivity([0.1, 1])
        >>> table.loc["sd Batch.Intercept", "mean"].round(-1).to_dict()
        {0.1: 30.0, 1.0: 50.0}
        """
        try:
            given = finite_numbers(factors, "factors")
        except DataError:
            given = np.zeros(0)
        if not len(given) or not (given > 0).all():
            raise ModelError(f"factors are positive numbers, such as [0.2, 1, 2], not {factors!r}")
        n, tables = len(self._draws.frame), {}
        for factor in given.tolist():
            drawn = run(self.fit, self.priors.scaled(factor), n, self._rng(None))
            found = Posterior(self.fit, self.priors.scaled(factor), drawn, self._seed).summary(level)
            tables[factor] = found[["mean", "lower", "upper"]]
        both = pd.concat(tables, names=["factor", "parameter"]).swaplevel()
        return both.reindex(
            pd.MultiIndex.from_product([self._draws.frame.columns, tables], names=both.index.names)
        )

    # -- elsewhere ---------------------------------------------------------------------------------------

    def to_arviz(self) -> Any:
        """Return the draws as ArviZ takes them: a DataTree with one chain.

        Random effects are variables of their own, ``"b g"``, with the dimensions of levels and effects.

        Returns
        -------
        xarray.DataTree

        Raises
        ------
        ModelError
            Where the package arviz-base is missing.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> post = gl.posterior(fit, rng=1)
        >>> post.to_arviz()  # doctest: +SKIP
        """
        try:
            from_dict = import_module("arviz_base").from_dict
        except ImportError:
            raise ModelError(
                "to_arviz needs the package arviz-base, which is not installed: python -m pip install "
                "arviz-base"
            ) from None
        values = {name: column.to_numpy()[None] for name, column in self._draws.frame.items()}
        coords: dict[str, Any] = {}
        dims: dict[str, Any] = {}
        for g, b in zip(self.fit.groups, self._draws.random, strict=True):
            name = f"b {g.name}"
            values[name] = np.moveaxis(b, 1, 2)[None]
            coords |= {g.name: [str(level) for level in g.levels], f"{name} effect": list(g.columns)}
            dims[name] = [g.name, f"{name} effect"]
        return from_dict({"posterior": values}, coords=coords, dims=dims)

    # -- display -----------------------------------------------------------------------------------------

    def _table(self) -> Table:
        t = self.summary()
        signed = {
            name for place in places_of(self.fit.groups) if place.quantity.lower < 0 for name in [place.name]
        }
        signed |= set(self.fit.design.coef_names)
        share = t["above 0"].where(t.index.isin(signed))
        columns = [list(t.index), *(aligned(t[c], t["sd"]) for c in ("mean", "median", "lower", "upper"))]
        rows = tuple(zip(*columns, fixed(share, 3), strict=True))
        title = f"Posterior of {self.fit.formula}"
        return Table(title, ("", "Mean", "Median", "95% from", "to", "Above 0"), rows)

    def _notes(self) -> list[tuple[str, str]]:
        priors = "; ".join(f"{name} ~ {prior}" for name, prior in self.priors.described())
        draws = (
            f"{counted(len(self._draws.frame), 'draw')} by importance sampling, khat {self.khat:.2f} (good "
            f"up to 0.7), effective sample size {self.ess:,.0f}; {self.method}"
        )
        return [("Priors: ", priors), ("Draws: ", draws)]

    def __str__(self) -> str:
        return "\n".join([self._table().to_text(), *(wrapped(text, label) for label, text in self._notes())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_with_notes(self._table().to_html(), [label + text for label, text in self._notes()], "")
