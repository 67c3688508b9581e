"""A linear mixed model as a problem of least squares, and its solution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.design.arrays import Design
from glmmlib.design.residual import has_residual_side
from glmmlib.likelihood.iterative_solution import IterativeSolution, solve_iteratively
from glmmlib.likelihood.linear_solution import LinearSolution
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.likelihood.lmm_minimise import minimise_deviance
from glmmlib.likelihood.patience import FACTORISATIONS, patience
from glmmlib.likelihood.residual_deviance import ResidualDeviance
from glmmlib.likelihood.residual_minimise import minimise_residual
from glmmlib.likelihood.residual_parameters import ResidualParameters
from glmmlib.likelihood.residual_solution import ResidualSolution
from glmmlib.likelihood.solution import Convergence
from glmmlib.models.residual import residual_problem
from glmmlib.types import FloatArray


def solved_design(
    design: Design, groups: tuple[Group, ...], reml: bool, exact: bool | None
) -> LinearSolution:
    if has_residual_side(design):
        return residual_solved(*residual_problem(design, groups, reml))
    return solved(linear_problem(design, groups, reml, exact))


def linear_problem(
    design: Design, groups: tuple[Group, ...], reml: bool, exact: bool | None
) -> ProfiledDeviance:
    return ProfiledDeviance(design.y, design.X, groups, reml, design.weights, design.offset, exact)


def solved(problem: ProfiledDeviance) -> LinearSolution:
    if problem.is_iterative:
        return solve_iteratively(problem)
    with problem.remembering(), patience(problem.structure, problem.p, FACTORISATIONS):
        # where there is no value the search goes on from elsewhere
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            optimum = minimise_deviance(problem)
        return LinearSolution(problem, optimum.x, Convergence.of(optimum))


def residual_solved(
    problem: ResidualDeviance, parameters: ResidualParameters, near: FloatArray | None = None
) -> LinearSolution:
    optimum = minimise_residual(problem, parameters.label or "sigma=", near)
    return ResidualSolution(problem, optimum.x, parameters, Convergence.of(optimum))


def kind_of_solution(problem: ProfiledDeviance, state: Mapping[str, Any]) -> type[LinearSolution]:
    is_found = state["estimates"] is None
    return IterativeSolution if is_found and problem.is_iterative else LinearSolution
