"""From rows that are read in batches to the problem of a linear model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glmmlib.covariance.groups import arrange
from glmmlib.covariance.identifiability import check_sums
from glmmlib.design.row_source import RowSource
from glmmlib.design.streamed import StreamedDesign, read_design
from glmmlib.likelihood.lmm_streamed import StreamedDeviance, StreamedFactor


def streamed_problem(
    formula: str, source: RowSource, reml: bool, offset: str | None, na_action: str
) -> tuple[StreamedDesign, tuple[str, ...], StreamedDeviance]:
    """Read all rows; return the design, the names of theta, and the criterion.

    Raises
    ------
    FormulaError, DataError, ModelError
    """
    read = read_design(formula, source, offset, na_action)
    sums, q = read.sums, read.sums.q
    (group,), theta_names = arrange(read.random)
    factor = group.factor
    standard, root = sums.by_level[:, :q].transpose(2, 0, 1), sums.root[:q, :q]
    check_sums(group, standard, root.T @ standard @ root, sums.n)
    hidden = StreamedFactor(factor.name, np.empty(0), np.empty(0), factor.n_levels, factor.to_standard, q)
    problem = StreamedDeviance(sums, read.fixed, replace(group, factor=hidden), reml)
    return read.design, theta_names, problem
