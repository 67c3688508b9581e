"""A generalised model at the estimates of :mod:`glmmlib.likelihood.glmm_iterative`, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.likelihood.glmm import LaplaceDeviance, RangeError
from glmmlib.likelihood.glmm_iterative import (
    Found,
    gradient_covariance,
    iterative,
    near,
    solve_gradient,
)
from glmmlib.likelihood.laplace_solution import LaplaceSolution
from glmmlib.likelihood.lmm_iterative import SEED, enough_probes, first_number
from glmmlib.likelihood.patience import IN_PIRLS, announced, dense_price
from glmmlib.likelihood.solution import Convergence, Estimates
from glmmlib.types import FloatArray

ENOUGH = 1e-5  # g' H^-1 g at which the search ends: a few thousandths of a standard error
WIDER = 2.0  # differences than those of exact gradients, whose digits end later


class IterativeLaplaceSolution(LaplaceSolution):
    """The likelihood of a generalised model with large crossed factors, with a Monte Carlo error.

    What needs entries of the inverse (profiles, conditional variances, draws) is still computed with the
    dense matrix, or refused where that has no room: :attr:`mode` is the exact one.

    Parameters
    ----------
    problem, parameters, convergence, estimates, hessian, value
        As for :class:`LaplaceSolution`.
    error : float
        The Monte Carlo error of the deviance.
    u : sequence of (q, J) arrays
        The mode, in the coordinates of the likelihood.
    probes : int
        Vectors of random signs.
    """

    def __init__(
        self,
        problem: LaplaceDeviance,
        parameters: FloatArray,
        convergence: Convergence,
        estimates: Estimates | None,
        hessian: FloatArray,
        value: float,
        error: float,
        u: Sequence[FloatArray],
        probes: int,
    ) -> None:
        super().__init__(problem, parameters, convergence, estimates, hessian, value)
        self._error, self._u, self._probes = error, [x.copy() for x in u], probes
        problem.begin_at([x.copy() for x in u])

    def state(self) -> dict[str, Any]:
        return {
            "parameters": self.parameters,
            "convergence": vars(self.convergence),
            "estimates": vars(self.estimates),
            "hessian": self._hessian,
            "value": self._value,
            "error": self._error,
            "modes": self._u,
            "probes": self._probes,
        }

    @classmethod
    def restored(cls, problem: LaplaceDeviance, state: Mapping[str, Any]) -> IterativeLaplaceSolution:
        convergence, estimates = Convergence(**state["convergence"]), Estimates(**state["estimates"])
        found = (state[name] for name in ("hessian", "value", "error", "modes", "probes"))
        return cls(problem, state["parameters"], convergence, estimates, *found)

    @property
    def deviance_error(self) -> float:
        return self._error

    @cached_property
    def modes(self) -> tuple[FloatArray, ...]:
        return self.coordinates.modes(self.standard_Lambdas, self._u)

    def _differences(self) -> FloatArray:
        """One-sided differences, in which the probes' errors cancel: at this size the third derivative, which
        they leave, is small.
        """
        steps = WIDER * self._steps()
        precise = iterative(self.problem, self._probes).precise(self._u)
        gradient, gradient_near = near(precise, self.parameters)
        points = self.parameters + np.diag(steps)
        H = np.array([(gradient_near(x) - gradient) / h for x, h in zip(points, steps, strict=True)])
        return 0.5 * (H + H.T)


def solve_iteratively(problem: LaplaceDeviance) -> IterativeLaplaceSolution:
    """Fit a generalised model with crossed factors without a dense matrix.

    Raises
    ------
    ModelError
        If the search does not end.
    """
    price = dense_price(problem.structure, problem.p, IN_PIRLS)
    try:
        found, number, in_theta, in_beta = _found(problem)
    except (np.linalg.LinAlgError, RangeError) as error:
        why = str(error) or "the linear predictor runs out of the range of floating-point numbers"
        raise ModelError(
            f"the iterative solution of the crossed factors failed: {why}; try exact=True, which takes "
            f"{price}"
        ) from None
    factorisation = found.mode.factorisation
    convergence = Convergence(
        True,
        "converged",
        0.5 * float(found.gradient @ found.inverse_hessian @ found.gradient),
        float(np.abs(found.gradient).max()),
        found.n_evaluations,
        announced(number, SEED, in_theta, in_beta, price),
    )
    is_exact = factorisation.probes.is_exact
    of_deviance = 0.0 if is_exact else float(factorisation.log_dets.std(ddof=1) / np.sqrt(number))
    hessian = np.linalg.inv(found.inverse_hessian)
    return IterativeLaplaceSolution(
        problem, found.parameters, convergence, None, hessian, found.value, of_deviance, found.mode.u, number
    )


def _found(problem: LaplaceDeviance) -> tuple[Found, int, float, float]:
    """Return the estimates, the number of probes and what :func:`_errors` says; with as many more probes
    as it takes where it says too much.
    """
    number = first_number(problem.structure.m)
    probed = iterative(problem, number)
    found = solve_gradient(probed, ENOUGH)
    in_theta, in_beta = _errors(probed, found)
    if (more := enough_probes(number, in_theta)) > number:
        probed = iterative(problem, more)
        found = solve_gradient(probed, ENOUGH, found)
        in_theta, in_beta = _errors(probed, found)
    return found, found.mode.factorisation.probes.number, in_theta, in_beta


def _errors(probed: LaplaceDeviance, found: Found) -> tuple[float, float]:
    """Return the largest Monte Carlo errors of theta and of beta, in standard errors."""
    H = found.inverse_hessian
    covariance = H @ gradient_covariance(probed, found.parameters, found.mode) @ H
    in_se = np.sqrt(np.diag(covariance) / (2.0 * np.diag(H)))
    return float(in_se[probed.p :].max()), float(in_se[: probed.p].max(initial=0.0))
