"""A generalised mixed model as a problem of penalised least squares, and its solution."""

from __future__ import annotations

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.design.arrays import Design
from glmmlib.design.rank import independent_rows
from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.likelihood.glmm import ExactFitError, LaplaceDeviance, RangeError, SaddleError, SaturatedError
from glmmlib.likelihood.glmm_iterative import is_iterative, why_not_iterative
from glmmlib.likelihood.glmm_minimise import minimise_deviance
from glmmlib.likelihood.iterative_laplace_solution import solve_iteratively
from glmmlib.likelihood.laplace_solution import LaplaceSolution
from glmmlib.likelihood.patience import IN_PIRLS, patience
from glmmlib.likelihood.quadrature import Quadrature
from glmmlib.likelihood.solution import Convergence
from glmmlib.linalg.resources import keep_memory, one_blas_thread
from glmmlib.types import FloatArray

MOST_ON_AN_AXIS = 200  # points of quadrature


def laplace_problem(
    family: Family,
    design: Design,
    groups: tuple[Group, ...],
    quadrature: Quadrature | None,
    exact: bool | None,
) -> LaplaceDeviance:
    y, prior = checked_response(family, design)
    auxiliary = {own.name: (own.D, own.columns) for own in design.auxiliary}
    problem = LaplaceDeviance(family, y, design.X, groups, prior, design.offset, quadrature, auxiliary, exact)
    if quadrature is not None and problem.structure.crossed:
        names = ", ".join(g.name for g in groups)
        raise ModelError(
            f"n_agq={quadrature.n_points} asks for quadrature, which needs one grouping factor, or "
            f"several of which each is nested in the next; those of this model ({names}) cross each other: "
            "the integral does not split into one for each group; use n_agq=1"
        )
    why = why_not_iterative(problem) if is_iterative(problem) else ""
    if why:
        raise ModelError(
            f"{why}, which the iterative solution of crossed factors does not know: take exact=True, or "
            "leave exact=False out"
        )
    return problem


def checked_response(family: Family, design: Design) -> tuple[FloatArray, FloatArray | None]:
    """Return response and prior weights as the family takes them."""
    y, prior = family.check_response(
        design.y, design.trials, design.weights, design.response_name, design.index
    )
    told = family.tells_of_mean(y)
    if told is not None:
        _check_columns(design, told)
    return y, prior


def check_intercept(family: Family, design: Design) -> None:
    """Refuse a model without the constant column whose coefficient the family needs."""
    if family.needs_intercept and "Intercept" not in design.coef_names:
        raise ModelError(
            f"the intercept of an {family.title} model is minus its first threshold, and without it the "
            f"thresholds lack their place: leave 0 (or -1) out of {design.formula.text!r}"
        )


def _check_columns(design, told):
    """Refuse columns of whose coefficients no row tells anything."""
    if not told.any():
        raise ModelError(
            f"every count in {design.response_name!r} is zero, so no row tells how large a count is: there "
            "is nothing to fit beside the share of zeros"
        )
    rows = np.ascontiguousarray(design.X[told].T)
    if lost := [design.coef_names[k] for k in np.flatnonzero(~independent_rows(rows))]:
        raise ModelError(
            f"in the rows with a count above zero the column of {listed(lost)} is constant or a linear "
            "combination of those before it, so nothing tells its coefficient: merge levels, or leave it out "
            "of the formula of the counts (zi= may keep it)"
        )


def quadrature_rule(n_agq: int, groups: tuple[Group, ...]) -> Quadrature | None:
    """Return the quadrature rule, or None for Laplace; refuse what quadrature cannot do."""
    if not isinstance(n_agq, int | np.integer) or isinstance(n_agq, bool) or n_agq < 1:
        raise ModelError(f"n_agq is the number of quadrature points, a whole number from 1 on, not {n_agq!r}")
    if n_agq > MOST_ON_AN_AXIS:
        raise ModelError(
            f"n_agq is at most {MOST_ON_AN_AXIS} points: beyond, their weights vanish, and 25 are many"
        )
    if n_agq == 1:
        return None
    refused = [
        t.text for g in groups for b, _, t in g.parts_of_covariance() if not b.structure.allows_quadrature
    ]
    if refused:
        raise ModelError(
            f"n_agq={n_agq} asks for quadrature, which is worked out for (x | g) and (x || g), not for "
            f"{refused[0]}: use n_agq=1"
        )
    wide = max(groups, key=lambda g: g.q)
    if wide.q > MOST_EFFECTS:
        raise ModelError(
            f"n_agq={n_agq} asks for quadrature over {wide.q} random effects of {wide.name}, that is "
            f"{n_agq}^{wide.q} points for each group; it is done for one or two: use n_agq=1"
        )
    effects = sum(g.q for g in groups)
    if len(groups) > 1 and n_agq**effects > MOST_POINTS:
        fewer = int(MOST_POINTS ** (1.0 / effects))
        raise ModelError(
            f"n_agq={n_agq} asks for quadrature over the {effects} random effects that each row has, one "
            f"inside the other, that is {n_agq}^{effects} points for each row; up to {MOST_POINTS:,} are "
            f"done: use n_agq={fewer}" + (", or fewer random effects" if fewer < 9 else "")
        )
    return Quadrature(int(n_agq))


def solved(problem: LaplaceDeviance) -> LaplaceSolution:
    family = problem.family
    keep_memory()
    if is_iterative(problem):
        with one_blas_thread(), np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return solve_iteratively(problem)
    # a step that leaves the floating-point numbers has an infinite value and is shortened
    with one_blas_thread(), np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        try:
            with patience(problem.structure, problem.p, IN_PIRLS):
                optimum, hessian = minimise_deviance(problem)
            convergence = Convergence.of(optimum)
            solution = LaplaceSolution(problem, optimum.x, convergence, hessian=hessian, value=optimum.value)
            _ = solution.mode  # now, while the search for it begins nearby
        except SaturatedError:
            raise ModelError(SATURATED.format(family.auxiliary[0].name)) from None
        except ExactFitError:
            raise ModelError(EXACT_FIT) from None
        except SaddleError:
            raise ModelError(SADDLE) from None
        except (RangeError, np.linalg.LinAlgError):
            raise ModelError(_range_sentence(family) if family.limited_range else RUN_OFF) from None
        if family.limited_range and not optimum.converged:
            raise ModelError(_range_sentence(family))
    return solution


def _range_sentence(family: Family) -> str:
    return (
        f"The {family.link.name} link of the {family.name} family needs a positive linear predictor in "
        "every row, and the best"
        f" fit leaves that range; use the {family.links[0].name} link, which has no such limit."
    )


MOST_EFFECTS, MOST_POINTS = 2, 20_000  # of a factor, for each row of a model with nested factors
EXACT_FIT = (
    "The model reproduces the response to five digits: without residual variation the likelihood has no "
    "maximum; is the"
    " response constant, or constant within groups?"
)
SATURATED = (
    "Fixed and random effects together reproduce any response, so that the likelihood has no maximum: it "
    "rises without end as the {} leaves nothing over; each group has too few rows for this many "
    "effects, try fewer."
)
SADDLE = (
    "The random effects have no best value given the responses: where the search for it ends, the density is "
    "no maximum, so Laplace's approximation does not exist there; look for outliers, and try fewer random "
    "effects."
)
RUN_OFF = (
    "The linear predictor runs out of the range of floating-point numbers before a maximum is found; look "
    "for outliers, an"
    " offset in the wrong units, or a predictor that is huge in a few rows."
)
