"""The residual side of a linear model: from its design to the likelihood, and as people read it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from glmmlib.covariance.factors import sds_and_correlations
from glmmlib.covariance.groups import Group
from glmmlib.covariance.residual_base import Independent
from glmmlib.design.arrays import Design
from glmmlib.errors import ModelError
from glmmlib.likelihood.residual_deviance import ResidualDeviance
from glmmlib.likelihood.residual_parameters import ResidualParameters
from glmmlib.likelihood.residual_side import ResidualSide
from glmmlib.models.varcorr import Component, GroupCovariance
from glmmlib.types import FloatArray


def residual_problem(
    design: Design, groups: Sequence[Group], reml: bool
) -> tuple[ResidualDeviance, ResidualParameters]:
    """Return the criterion of a design with a residual side, and the names of its parameters.

    Raises
    ------
    ModelError
        If the formula for sigma cannot say that sigma is the same in all rows.
    """
    own, blocks = next(iter(design.auxiliary), None), design.residual
    D, names = (None, ()) if own is None else (own.D, own.columns)
    if own is not None:
        constant = own.D @ np.linalg.lstsq(own.D, np.ones(len(own.D)), rcond=1e-12)[0]
        if np.abs(constant - 1.0).max() > 1e-8:
            raise ModelError(
                f"sigma={own.text!r} has no intercept, so one SD for all rows is not among its cases: leave "
                "the 0 + out"
            )
    if blocks is None:
        side = ResidualSide(design.nobs, Independent(), None, None, D, design.weights)
        parameters = ResidualParameters(side, names)
    else:
        codes, position = blocks.grouping.codes, blocks.position
        side = ResidualSide(design.nobs, blocks.structure, codes, position, D, design.weights)
        parameters = ResidualParameters(side, names, blocks.columns, blocks.term.label)
    return ResidualDeviance(design.y, design.X, groups, reml, side, design.offset), parameters


def residual_covariance(parameters: ResidualParameters, estimate: FloatArray) -> GroupCovariance | None:
    """Return the covariance of the residuals of one block as that of a group's effects; None without blocks.

    Where sigma has a formula the SDs are ratios to that of the first position.
    """
    if parameters.side.position is None:
        return None
    covariance = parameters.covariance_of_positions(estimate)
    sd, corr = sds_and_correlations(covariance)
    names = list(parameters.columns)
    structure = parameters.side.structure
    shown = dict(zip(parameters.quantities, parameters.shown(estimate), strict=True))
    shared = {
        n.replace(f" {parameters.label}", ""): float(v) for n, v in shown.items() if n.startswith("rho ")
    }
    has_formula, label = parameters.side.D is not None, parameters.label
    if structure.hom:
        components = [Component("", "sigma", np.nan if has_formula else float(sd[0]), {}, shared, label)]
    else:
        kind, free = "sd ratio" if has_formula else "sd", structure.has_free_pairs
        components = [
            Component(
                name,
                f"{kind} {name}",
                float(sd[i]),
                {names[j]: float(corr[i, j]) for j in range(i)} if free else {},
                {} if i else shared,
                label,
            )
            for i, name in enumerate(names)
        ]
    return GroupCovariance(
        "Residual",
        pd.Series(sd, names, name="sd"),
        pd.DataFrame(corr, names, names),
        pd.DataFrame(covariance, names, names),
        np.ones(corr.shape, dtype=bool),
        tuple(components),
    )
