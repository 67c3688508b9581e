"""Models side by side: log-likelihood, AIC, BIC and conditional AIC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.comparison.conditional_aic import conditional_aic
from glmmlib.comparison.nesting import check_same_data, check_same_quadrature
from glmmlib.display.tables import Table, fixed
from glmmlib.display.words import listed, wrapped
from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.families.binomial import Binomial
from glmmlib.families.counts import NegativeBinomial, Poisson
from glmmlib.families.gaussian import Gaussian
from glmmlib.families.links import Probit
from glmmlib.fitted import FittedModel
from glmmlib.models.results import MixedModelFit


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of :func:`glmmlib.compare`.

    Attributes
    ----------
    table : DataFrame
        ``k``, ``llf``, ``aic``, ``delta_aic``, ``bic_rows``, ``bic_groups``, ``delta_bic_rows``,
        ``delta_bic_groups`` and ``cAIC``, one row for each fit.
    formulas : dict of str to str
    nobs : int
        The n of ``bic_rows``.
    groups : (str, int) or None
        Grouping factor and number of its levels, the n of ``bic_groups``.
    criterion : {"ML", "REML"}
    errors : dict of str to float
        The Monte Carlo error of AIC and BIC, of each fit that was solved iteratively.
    """

    table: pd.DataFrame
    formulas: dict
    nobs: int
    groups: tuple | None
    criterion: str
    errors: dict = field(default_factory=dict)

    def _table(self) -> pd.DataFrame:
        t = self.table
        columns = [t.index, fixed(t["k"], 0), fixed(t["llf"], 2)]
        columns += [fixed(t[c], 1) for c in ("aic", "delta_aic", "bic_rows", "delta_bic_rows")]
        header = ["", "k", "log L", "AIC", "ΔAIC", "BIC(rows)", "ΔBIC"]
        if self.groups is not None:
            columns += [fixed(t["bic_groups"], 1), fixed(t["delta_bic_groups"], 1)]
            header += ["BIC(groups)", "ΔBIC"]
        if t["cAIC"].notna().any():
            columns.append(fixed(t["cAIC"], 1))
            header.append("cAIC")
        return Table("", tuple(header), tuple(zip(*columns, strict=True)))

    def _heading(self) -> str:
        return f"Model comparison ({self.criterion})"

    def _notes(self):
        yield self._what_n_is()
        if self.errors:
            known = listed([f"{name} by {error:.2g}" for name, error in self.errors.items()])
            yield (
                f"solved iteratively, AIC and BIC are uncertain: {known}, the Monte Carlo error; smaller "
                "differences say nothing"
            )
        missing = list(self.table.index[self.table["cAIC"].isna()])
        if len(missing) < len(self.table):
            yield (
                "cAIC (conditional AIC, Greven and Kneib) is about new rows of the same groups, AIC about "
                "new groups"
            )
        if missing:
            yield f"cAIC is for linear models only, so not for {listed(missing)}"

    def _what_n_is(self) -> str:
        groups = (
            "" if self.groups is None else f", BIC(groups) n = {self.groups[1]} levels of {self.groups[0]}"
        )
        return f"BIC(rows) takes n = {self.nobs} rows{groups}; k counts variances and covariances too"

    def __str__(self) -> str:
        models = [wrapped(f"{name}: {text}") for name, text in self.formulas.items()]
        return "\n".join([self._heading(), *models, self._table().to_text(), *map(wrapped, self._notes())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self._table()
        models = "".join(f"<li>{n}: <code>{escape(text)}</code></li>" for n, text in self.formulas.items())
        html = Table(self._heading(), table.header, table.rows).to_html()
        notes = "".join(f"<p>{escape(note)}</p>" for note in self._notes())
        return f'<div class="glmmlib"><ul>{models}</ul>{html}{notes}</div>'


def compare(*fits: FittedModel) -> Comparison:
    r"""Set models of one response side by side, nested or not.

    ``AIC = -2 log L + 2 k`` and ``BIC = -2 log L + k log n``. For grouped data n may be the rows or the
    groups (which carry the information on what varies between them); both are shown. k counts fixed effects,
    theta and the dispersion. For linear models :func:`conditional_aic` stands beside; where no effect is
    random it equals AIC, as for OLS.

    Parameters
    ----------
    *fits : MixedModelFit, or results of statsmodels
        Pooled fits of statsmodels are admitted beside: OLS, and the likelihood models Logit, Probit, Poisson,
        NegativeBinomial and GLM (binomial, Poisson, negative binomial). All must be fits of the same
        response, by ML; or all by REML, with the same fixed effects.

    Returns
    -------
    Comparison

    Raises
    ------
    ModelError
        With the reason, where the numbers could not be compared.

    Notes
    -----
    This is the marginal AIC: it asks how well the model predicts *new* groups, and is biased against random
    effects whose variance is on the boundary (Vaida and Blanchard 2005, *Biometrika* 92; Greven and Kneib
    2010, *Biometrika* 97). The groups of ``bic_groups`` are the levels of the first grouping factor that all
    mixed fits share.

    Examples
    --------
    >>> import glmmlib as gl
    >>> sleep = gl.load("sleepstudy")
    >>> m0 = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep, reml=False)
    >>> m1 = gl.lmer("Reaction ~ Days + (Days | Subject)", sleep, reml=False)
    >>> gl.compare(m0, m1).table[["k", "aic", "delta_aic"]].round(1)
        k     aic  delta_aic
    m0  4  1802.1       38.1
    m1  6  1763.9        0.0
    """
    if not fits:
        raise ModelError("compare needs at least one fit")
    entries = [_mixed(fit) if isinstance(fit, MixedModelFit) else _pooled(fit) for fit in fits]
    mixed = [fit for fit in fits if isinstance(fit, MixedModelFit)]
    criterion = _check(entries, mixed)
    nobs, groups = len(entries[0].y), _common_groups(mixed)
    k, llf = (np.array([getattr(e, name) for e in entries], dtype=float) for name in ("k", "llf"))
    table = pd.DataFrame(
        {"k": k.astype(int), "llf": llf, "aic": 2 * k - 2 * llf}, [f"m{i}" for i in range(len(fits))]
    )
    table["delta_aic"] = table["aic"] - table["aic"].min()
    for name, n in (("rows", nobs), ("groups", np.nan if groups is None else groups[1])):
        table[f"bic_{name}"] = k * np.log(n) - 2 * llf
        table[f"delta_bic_{name}"] = table[f"bic_{name}"] - table[f"bic_{name}"].min()
    table["cAIC"] = [_conditional(fit, aic) for fit, aic in zip(fits, table["aic"], strict=True)]
    formulas = dict(zip(table.index, (e.formula for e in entries), strict=True))
    errors = {
        name: fit.solution.deviance_error
        for name, fit in zip(table.index, fits, strict=True)
        if isinstance(fit, MixedModelFit) and fit.solution.deviance_error > 0
    }
    return Comparison(table, formulas, nobs, groups, criterion, errors)


@dataclass(frozen=True, eq=False)
class _Entry:
    formula: str
    family: Family
    y: np.ndarray
    k: int
    llf: float
    reml: bool


def _mixed(fit):
    return _Entry(fit.model_text, fit.family, fit.design.y, fit.n_parameters, fit.llf, fit.reml)


def _conditional(fit: Any, aic: float) -> float:
    if isinstance(fit, MixedModelFit):
        return conditional_aic(fit).value if fit.is_linear and not fit.has_residual_side else np.nan
    return aic if type(fit.model).__name__ == "OLS" else np.nan


_POOLED = {
    "OLS": Gaussian(),
    "Logit": Binomial(),
    "Probit": Binomial(Probit()),
    "Poisson": Poisson(),
    "NegativeBinomial": NegativeBinomial(),
}
_GLM_FAMILIES = {"Binomial": Binomial(), "Poisson": Poisson(), "NegativeBinomial": NegativeBinomial()}


def _pooled(fit):
    """Read a result of statsmodels; OLS counts its residual variance, as the mixed models do."""
    model = getattr(fit, "model", None)
    if not all(hasattr(fit, name) for name in ("llf", "params")) or not hasattr(model, "endog"):
        raise ModelError(
            f"compare takes fits of glmmlib and results of statsmodels, not a {type(fit).__name__}"
        )
    kind = type(model).__name__
    known = _POOLED if kind != "GLM" else _GLM_FAMILIES
    theirs = kind if kind != "GLM" else type(model.family).__name__
    if theirs not in known:
        raise ModelError(
            f"the likelihood of statsmodels' {kind} is not known to be on the same scale here: OLS, Logit, "
            "Probit, Poisson,"
            " NegativeBinomial and GLM (binomial, Poisson, negative binomial) are admitted"
        )
    formula = (
        getattr(model, "formula", None) or f"{model.endog_names} ~ {' + '.join(map(str, model.exog_names))}"
    )
    y = np.asarray(model.endog, dtype=float)
    if kind == "GLM" and known[theirs].support.in_trials:
        y = y * np.asarray(model.n_trials, dtype=float)
    return _Entry(
        f"{formula} (statsmodels {kind})",
        known[theirs],
        y,
        len(fit.params) + (kind == "OLS"),
        float(fit.llf),
        False,
    )


def _check(entries: Sequence[_Entry], mixed: Sequence[FittedModel]) -> str:
    first = entries[0]
    for e in entries[1:]:
        if len(e.y) != len(first.y):
            raise ModelError(
                f"the fits use different rows ({len(first.y)} and {len(e.y)}): drop the incomplete rows first"
            )
        if not np.allclose(e.y, first.y, rtol=1e-12, atol=0):
            raise ModelError(
                f"the fits {first.formula!r} and {e.formula!r} have different responses: their likelihoods "
                "cannot be compared"
            )
        if e.family.support.is_discrete != first.family.support.is_discrete:
            raise ModelError(
                f"the likelihoods of {first.family.name} and {e.family.name} models are of different kinds "
                "(a density and a probability) and cannot be compared"
            )
    for other in mixed[1:]:
        check_same_data(mixed[0], other)
        check_same_quadrature(mixed[0], other)
    if not any(e.reml for e in entries):
        return "ML"
    if not all(e.reml for e in entries):
        raise ModelError("some models are fitted by REML and others by ML: fit all of them with reml=False")
    for other in mixed[1:]:
        if other.X.shape != mixed[0].X.shape or not np.allclose(other.X, mixed[0].X, rtol=1e-12, atol=0):
            raise ModelError(
                "REML criteria of models with different fixed effects cannot be compared: fit with reml=False"
            )
    return "REML"


def _common_groups(mixed):
    """Return the first grouping factor that all mixed fits share, with its number of levels."""
    for g in mixed[0].groups if mixed else ():
        if all(g.name in fit.ngroups for fit in mixed):
            return g.name, len(g.levels)
    return None
