"""Which parameter has which prior: what was asked for, and the defaults for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmmlib.bayes.priors import (
    Exponential,
    Gamma,
    HalfT,
    Lkj,
    LocationPrior,
    Normal,
    Prior,
    parse_lkj,
    parse_prior,
)
from glmmlib.covariance.groups import Group, prefixed
from glmmlib.display.words import did_you_mean
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.types import FloatArray

WIDE = 2.5  # of a default prior, in SDs of the response for an SD of the predictor
HEAVY = 3.0  # degrees of freedom of default priors of SDs


@dataclass(frozen=True, eq=False)
class Priors:
    """The priors of a model, each in the units of its parameter.

    Attributes
    ----------
    fixef : dict of str to LocationPrior
        By coefficient; the intercept's is that at the means of the other columns.
    sd : tuple
        For each grouping factor of the formula a tuple with the prior of each effect's SD.
    corr : tuple of Lkj
        For each grouping factor.
    auxiliary : dict of str to Prior
        Of sigma, of the dispersion, or of each width of a category.
    centres : tuple
        For each grouping factor the means (q,) at which its SDs and correlations are meant.
    groups : tuple of Group
    """

    fixef: dict[str, LocationPrior]
    sd: tuple[tuple[Prior, ...], ...]
    corr: tuple[Lkj, ...]
    auxiliary: dict[str, Prior]
    centres: tuple[FloatArray, ...]
    intercept: int | None
    groups: tuple[Group, ...]

    def described(self) -> Iterator[tuple[str, str]]:
        """Yield what each prior is of, and the prior in numbers."""
        for k, (name, prior) in enumerate(self.fixef.items()):
            is_moved = k == self.intercept and len(self.fixef) > 1
            yield f"{name} at the means" if is_moved else name, str(prior)
        for group, sds, corr, centre in zip(self.groups, self.sd, self.corr, self.centres, strict=True):
            for k, (column, sd) in enumerate(zip(group.columns, sds, strict=True)):
                at = " at the means" if is_constant(group.factor.Z[k]) and centre.any() else ""
                yield f"sd {prefixed(group.name, column)}{at}", str(sd)
            if any(b.structure.has_free_correlations and len(b.columns) > 1 for b in group.covariance.blocks):
                yield f"correlations of {group.name}", str(corr)
        for name, auxiliary in self.auxiliary.items():
            yield name, str(auxiliary)

    def scaled(self, factor: float) -> Priors:
        """Return the same with the priors of the random effects' SDs so many times as wide."""
        return replace(self, sd=tuple(tuple(p.scaled(factor) for p in sds) for sds in self.sd))


def priors_of(
    fit: FittedModel,
    fixef: str | Mapping[str, str] | None,
    sd: str | Mapping[str, Any] | None,
    corr: str | Mapping[str, str] | None,
    **auxiliary: str | None,
) -> Priors:
    """Return the :class:`Priors` of a model; see :func:`glmmlib.posterior` for the arguments."""
    X, names = fit.solution.X, list(fit.design.coef_names)
    intercept = next((k for k in range(len(names)) if is_constant(X[:, k])), None)
    middle, scale = _middle_and_scale(fit, intercept is not None)
    default: dict[str, LocationPrior] = {
        name: Normal(0.0, WIDE * scale / _spread(x, intercept is not None))
        for name, x in zip(names, X.T, strict=True)
    }
    if intercept is not None:
        default[names[intercept]] = Normal(middle, WIDE * scale)
    given = _given_fixef(fixef, names, intercept)
    by_group = [_sds(g, _by_group(sd, g, fit.groups, "sd"), scale, WIDE) for g in fit.groups]
    corrs = [
        Lkj(1.0) if text is None else parse_lkj(text, f"the correlations of {g.name}")
        for g, text in ((g, _by_group(corr, g, fit.groups, "corr")) for g in fit.groups)
    ]
    return Priors(
        default | given,
        tuple(by_group),
        tuple(corrs),
        _auxiliary(fit, auxiliary, scale),
        tuple(_centre(g) for g in fit.groups),
        intercept,
        tuple(fit.groups),
    )


def is_constant(x: FloatArray) -> bool:
    """Is a column the same, and not zero, in all rows?"""
    return bool(x[0] != 0.0 and (x == x[0]).all())


def _middle_and_scale(fit: FittedModel, has_intercept: bool) -> tuple[float, float]:
    """Return where the response lies and how far it spreads, on the scale of the linear predictor."""
    if not fit.family.link.is_straight:
        return 0.0, 1.0
    y = fit.family.observed(*fit.observations)
    y = y if fit.solution.offset is None else y - fit.solution.offset
    middle = float(y.mean()) if has_intercept else 0.0
    return middle, float(np.sqrt(np.sum((y - middle) ** 2) / max(len(y) - 1, 1)))


def _spread(x: FloatArray, is_centred: bool = True) -> float:
    """Return the SD of a column; 1 for one of zeros and ones; without an intercept its root mean square."""
    if np.isin(x, (0.0, 1.0)).all():
        return 1.0
    return float(np.std(x, ddof=1) if is_centred else np.sqrt(np.mean(x**2)))


def _centre(group: Group) -> FloatArray:
    """Return the means (q,) of the columns beside a random intercept that may be correlated with them."""
    centre = np.zeros(group.q)
    for block in group.covariance.blocks:
        Z = group.factor.Z[block.columns]
        constant = [is_constant(z) for z in Z]
        if block.structure.has_free_correlations and any(constant):
            centre[block.columns] = np.where(constant, 0.0, Z.mean(axis=1))
    return centre


def _given_fixef(given: Any, names: Sequence[str], intercept: int | None) -> dict[str, LocationPrior]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        slopes = [name for k, name in enumerate(names) if k != intercept]
        return {name: parse_prior(given, name, positive=False) for name in slopes}
    for name in given:
        if name not in names:
            raise ModelError(f"fixef names no coefficient of the model: {name!r}{did_you_mean(name, names)}")
    return {name: parse_prior(text, name, positive=False) for name, text in given.items()}


def _by_group(given: Any, group: Group, groups: Sequence[Group], what: str) -> Any:
    if not isinstance(given, Mapping):
        return given
    names = [g.name for g in groups]
    for name in given:
        if name not in names:
            raise ModelError(
                f"{what} names no grouping factor of the model: {name!r}{did_you_mean(name, names)}"
            )
    return given.get(group.name)


def _sds(group: Group, given: Any, scale: float, wide: float) -> tuple[Prior, ...]:
    """Return the prior of each effect's SD."""
    has_constant = any(is_constant(z) for z in group.factor.Z)
    default: list[Prior] = [
        HalfT(HEAVY, wide * scale / (1.0 if is_constant(z) else _spread(z, has_constant)))
        for z in group.factor.Z
    ]
    if isinstance(given, Mapping):
        for name in given:
            if name not in group.columns:
                hint = did_you_mean(name, group.columns)
                raise ModelError(f"sd[{group.name!r}] names no random effect of it: {name!r}{hint}")
        texts = [given.get(column) for column in group.columns]
    else:
        texts = [given] * group.q
    return tuple(
        prior if text is None else parse_prior(text, f"sd {prefixed(group.name, column)}", positive=True)
        for text, prior, column in zip(texts, default, group.columns, strict=True)
    )


def _auxiliary(fit: FittedModel, given: Mapping[str, str | None], scale: float) -> dict[str, Prior]:
    """Return the prior of what the family has beside its mean."""
    parts = {part.auxiliary.name: part.auxiliary for part in fit.solution.predictors.parts}
    has_widths = bool(fit.family.levels) and bool(parts)
    for name, text in given.items():
        if text is not None and not (has_widths if name == "widths" else name in parts):
            raise ModelError(f"the {fit.family.name} family has no {name}, so there is no prior of it")
    found: dict[str, Prior] = {}
    for name, auxiliary in parts.items():
        text = given.get("widths" if has_widths else name)
        if text is not None:
            found[name] = parse_prior(text, name, positive=True)
        elif has_widths:  # on the scale of a logistic variable, whose SD is 1.8
            found[name] = Gamma(2.0, 1.0)
        elif fit.is_linear:
            found[name] = HalfT(HEAVY, WIDE * scale)
        else:  # where a large value is the exact fit, it is a precision, and has no size of its own
            found[name] = Gamma(2.0, 0.1) if np.isfinite(auxiliary.allowed[1]) else Exponential(1.0)
    return found
