"""``glmer``: generalised linear mixed models from a formula and a data frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import arrange
from glmmlib.covariance.identifiability import check_covariances, check_single_trials
from glmmlib.design.arguments import new_response
from glmmlib.design.arrays import Design
from glmmlib.design.auxiliary import is_constant
from glmmlib.design.build import build_design
from glmmlib.design.ordered import scores_like
from glmmlib.design.rank import independent_rows
from glmmlib.display.arguments import checked
from glmmlib.display.words import listed, sentence
from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.families.links import Link
from glmmlib.families.registry import any_family, zero_inflated
from glmmlib.families.registry import family as find_family
from glmmlib.inference.thresholds import thresholds
from glmmlib.likelihood.glmm import ExactFitError, LaplaceDeviance, RangeError, SaddleError, SaturatedError
from glmmlib.likelihood.glmm_iterative import is_iterative, why_not_iterative
from glmmlib.likelihood.glmm_minimise import minimise_deviance
from glmmlib.likelihood.iterative_laplace_solution import IterativeLaplaceSolution, solve_iteratively
from glmmlib.likelihood.laplace_solution import LaplaceSolution
from glmmlib.likelihood.patience import IN_PIRLS, patience
from glmmlib.likelihood.quadrature import Quadrature
from glmmlib.likelihood.solution import Convergence
from glmmlib.linalg.resources import keep_memory, one_blas_thread
from glmmlib.models.fit_warnings import warn_about_categories, warn_about_estimates
from glmmlib.models.handed_out import handed_out
from glmmlib.models.results import MixedModelFit
from glmmlib.replicates.refits import Refits, refit_many
from glmmlib.types import ArrayLike, FloatArray
from glmmlib.variance.ratios import exp_table


@checked
def glmer(
    formula: str,
    data: Any,
    family: str,
    link: str | Link | None = None,
    n_agq: int = 1,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    na_action: str = "drop",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    dispersion: str | None = None,
    known: Mapping[str, Any] | None = None,
    zi: str | None = None,
    exact: bool | None = None,
) -> GeneralizedMixedModelFit:
    r"""Fit a generalised linear mixed model by maximum likelihood.

    .. math::

        y_i \mid b \sim \text{family}(\mu_i), \quad g(\mu) = X\beta + Zb + \text{offset}, \quad b \sim
        N(0, \Lambda\Lambda').

    Parameters
    ----------
    formula : str
        As for :func:`lmer`; a binomial response is 0/1, a proportion with ``weights``, or ``cbind(successes,
        failures)``; a beta-binomial one is not 0/1. Rows without a trial tell nothing: they are left out and
        counted. An ordinal one is an ordered ``pd.Categorical`` with a row in each category, or whole
        numbers, in their own order.
    data : DataFrame
    family : {"binomial", "betabinomial", "poisson", "negbinomial", "negbinomial1", "gamma", "beta"}
        Or one of counts that are never zero: ``"truncated_poisson"``, ``"truncated_negbinomial"``. Or
        ``"ordinal"``, the cumulative logit model of ordered categories, P(y <= k) = logistic(theta_k - eta)
        as R's ``clmm`` and ``polr``. Its intercept is minus the first threshold and has to stay in the
        formula; ``fit.thresholds`` has all of them.
    link : str, optional
        Binomial: logit, probit, cloglog. Poisson: log, sqrt, identity. Negative binomials and
        truncated families: log. Gamma: log, inverse. Beta, beta-binomial, ordinal: logit. The first is the
        default.
    n_agq : int
        Points of adaptive Gauss-Hermite quadrature for each random effect; 1 is Laplace's approximation. More
        than one needs one grouping factor, or a chain of nested ones such as ``(1 | town / school)``, with
        one or two random effects each. A row then costs ``n_agq`` to the power of its random effects, up to
        20,000 points. Crossed factors have Laplace's approximation only.
    weights : column name or array, optional
        Binomial and beta-binomial: the number of trials of each proportion. Gamma: the dispersion of row i is
        phi / weights[i]. Otherwise they multiply the log-density.
    offset : column name or array, optional
    na_action : {"drop", "raise"}
    functions : dict of str to callable, optional
        As for :func:`lmer`.
    dispersion : str, optional
        A formula without a response, such as ``"~ x"``, for the logarithm of the family's dispersion
        phi, as glmmTMB's ``dispformula``: ``log(phi_i) = d_i' gamma``. One dispersion for
        all rows by default, which ``"~ 1"`` says too. No random effects, no offset.
    known : dict of str to DataFrame, optional
        As for :func:`lmer`.
    zi : str, optional
        Zero inflation of counts, as glmmTMB's ``ziformula``: a formula without a response, such as
        ``"~ x"``, for the logit of the probability pi that a row is a structural zero, one that could not be
        anything else; ``"~ 1"`` is one probability for all rows. A response then has the mean ``(1 - pi)
        mu``. With a truncated family it is a hurdle model: all zeros are such zeros, pi is the probability of
        a zero. No random effects, no offset.
    exact : bool, optional
        How crossed factors are solved: with a dense matrix (True), or by conjugate gradients (False), which
        leave a Monte Carlo error that summary and ``fit.convergence`` state. The latter is for binomial and
        Poisson responses and ``(1 | g)`` terms. By default the dense matrix, up to 3,000 columns; the summary
        of a larger fit says what ``exact=True`` would take.

    Returns
    -------
    GeneralizedMixedModelFit

    Raises
    ------
    FormulaError, DataError, ModelError

    Warns
    -----
    SingularFitWarning, ConvergenceWarning, QuadratureWarning, SeparationWarning

    Notes
    -----
    The log-likelihood holds all constants. Laplace's approximation uses the second derivative of the
    log-density itself (observed information), as glmmTMB does; lme4 uses the expected one, which differs for
    links that are not canonical. Standard errors come from the Hessian in all parameters together.

    Examples
    --------
    >>> import glmmlib as gl
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = gl.glmer(formula, gl.load("cbpp"), family="binomial")
    >>> fit.params.round(3).to_dict()
    {'Intercept': -1.399, 'period[T.2]': -0.992, 'period[T.3]': -1.129, 'period[T.4]': -1.58}
    >>> round(float(fit.varcorr["herd"].sd["Intercept"]), 3)
    0.642

    Counts whose overdispersion differs between treatments:

    >>> formula, epil = "y ~ base + trt + (1 | subject)", gl.load("epil")
    >>> fit = gl.glmer(formula, epil, family="negbinomial", dispersion="~ trt")
    >>> gl.coef_tests(fit, predictor="dispersion")[["estimate", "se"]].round(3)
                      estimate     se
    Intercept            1.847  0.292
    trt[T.progabide]     0.326  0.486

    Counts with structural zeros:

    >>> ticks = gl.load("grouseticks")
    >>> fit = gl.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", zi="~ 1")
    >>> round(fit.zi, 3)
    0.028

    A hurdle: whether there are ticks at all, and how many where there are some:

    >>> fit = gl.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, family="truncated_poisson", zi="~ YEAR")
    >>> fit.auxiliary_params.round(2).to_dict()
    {'zi Intercept': -0.33, 'zi YEAR[T.96]': -2.24, 'zi YEAR[T.97]': 0.34}

    Ratings in ordered categories:

    >>> import numpy as np, pandas as pd
    >>> tasting = pd.DataFrame({"judge": np.repeat(np.arange(30), 6), "warm": np.tile([0, 1], 90)})
    >>> tasting["rating"] = gl.simulate("~ warm + (1 | judge)", tasting, family="ordinal", fixef={"warm": 2},
    ...                                 thresholds=[-1, 0.5, 2], sd={"judge": 1}, rng=1)
    >>> fit = gl.glmer("rating ~ warm + (1 | judge)", tasting, family="ordinal")
    >>> fit.thresholds["estimate"].round(2).to_dict()
    {'1|2': -1.13, '2|3': 0.65, '3|4': 2.15}
    >>> fit.predict({"warm": [0, 1]}, kind="probabilities", re_form="~0").round(2).to_numpy().tolist()
    [[0.25, 0.41, 0.24, 0.1], [0.03, 0.12, 0.29, 0.56]]
    """
    if exact is not None and not isinstance(exact, bool | np.bool_):
        raise ModelError(f"exact is True, False or None, not {exact!r}: by default the size decides")
    chosen = find_family(family, link)
    chosen = chosen if zi is None else zero_inflated(chosen)
    design = build_design(
        formula,
        data,
        weights,
        offset,
        na_action,
        binary=chosen.support.in_trials,
        ordered=chosen.support.is_ordered,
        functions=functions,
        auxiliary=_auxiliary_formulas(chosen, dispersion=dispersion, zi=zi),
        known=known,
    )
    if not design.random:
        raise ModelError(
            f"{design.formula.text!r} has no random-effects term; add one such as (1 | group), or fit it as "
            "a generalised"
            " linear model with statsmodels"
        )
    chosen = chosen.with_levels(design.response_levels)
    _checked(chosen, design)
    _check_intercept(chosen, design)
    groups, theta_names = arrange(design.random)
    check_covariances(groups)
    if chosen.support.in_trials:
        check_single_trials(groups, _checked(chosen, design)[1], design.response_name)
    problem = _problem(chosen, design, groups, _quadrature(n_agq, groups), exact)
    fit = GeneralizedMixedModelFit(design, theta_names, _solution(problem))
    warn_about_estimates(fit, stacklevel=4)
    return fit


def _auxiliary_formulas(family, **given):
    """Return the formulas of the parameters that differ between rows; refuse those the family has not."""
    known = [auxiliary.name for auxiliary in family.auxiliary]
    found = {}
    for name, text in given.items():
        if text is None:
            continue
        if name not in known:
            raise ModelError(f"the {family.name} family has no {name} to model: leave {name}= out")
        if not is_constant(name, text):
            found[name] = text
    return found


def _checked(family, design):
    """Return response and prior weights as the family takes them."""
    y, prior = family.check_response(
        design.y, design.trials, design.weights, design.response_name, design.index
    )
    told = family.tells_of_mean(y)
    if told is not None:
        _check_columns(design, told)
    return y, prior


def _check_intercept(family, design):
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


def _problem(family, design, groups, quadrature, exact):
    y, prior = _checked(family, design)
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


def _solution(problem: LaplaceDeviance) -> LaplaceSolution:
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


def _quadrature(n_agq, groups):
    """Return the quadrature rule, or None for Laplace; refuse what quadrature cannot do."""
    if not isinstance(n_agq, int | np.integer) or isinstance(n_agq, bool) or n_agq < 1:
        raise ModelError(f"n_agq is the number of quadrature points, a whole number from 1 on, not {n_agq!r}")
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


class GeneralizedMixedModelFit(MixedModelFit):
    """A fitted generalised linear mixed model, made by :func:`glmmlib.glmer`.

    Beside what every :class:`~glmmlib.models.results.MixedModelFit` has:

    Attributes
    ----------
    family : Family
        Distribution and link.
    dispersion : float, Series (nobs,) or None
        Negative binomial: phi of Var = mu + mu^2 / phi (R's theta), NB1: phi of Var = (1 + phi) mu.
        Gamma: phi of Var = phi mu^2.  Beta: phi of Var = mu (1 - mu) / (1 + phi). One for
        each row where it has a formula.
    zi : float, Series (nobs,) or None
        Probability of a structural zero, where the model has them; one for each row where it has a formula.
    thresholds : DataFrame or None
        Of an ordinal model: the thresholds between neighbouring categories (R's ``clmm``, ``polr``), with
        ``estimate`` and ``se``; rows such as ``"low|middle"``.
    n_agq : int
        Quadrature points; 1 is Laplace's approximation.
    linear_predictor : Series (nobs,)
        ``X beta + Z b + offset``, on the scale of the link.
    fittedvalues : Series (nobs,)
        Mean responses given the conditional modes: probabilities, or expected counts.
    resid, resid_pearson, resid_deviance : Series (nobs,)
        Observed minus fitted (proportions for a binomial response); divided by the SD given the random
        effects; and the signed roots of each row's contribution to the deviance.
    conditional_covariances : list of arrays (q, q, J)
        Covariances of the random effects given y and the parameters, for each grouping factor.
    """

    solution: LaplaceSolution
    kind = "generalised linear mixed model"

    @property
    def title(self) -> str:
        how = ", solved iteratively" if self.convergence.approximation else ""
        return f"Generalised linear mixed model by maximum likelihood{how}"

    @property
    def estimation(self) -> str:
        """How the parameters were estimated, in words."""
        how = "maximum likelihood, the random effects integrated out by"
        if self.n_agq == 1:
            return f"{how} Laplace's approximation"
        return f"{how} adaptive Gauss-Hermite quadrature with {self.n_agq} points"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What a summary says of the distribution and of the integral: pairs of a name and a text."""
        found = [("Family", f"{self.family.name}, {self.family.link.name} link")]
        levels = self.design.response_levels
        if self.family.levels:
            found.append(("Categories", " < ".join(map(str, self.family.levels))))
        elif levels is not None:
            found.append(("Event", f"{self.design.response_name} is {levels[1]!r} (not {levels[0]!r})"))
        if self.thresholds is None:
            found += [(sentence(a.title), f"{value:.5g}") for a, value in self.named_auxiliary()]
        found += [(sentence(a.title), f"{text}, {a.link.name} link") for a, text in self.modelled_auxiliary()]
        how = f"adaptive Gauss-Hermite quadrature, {self.n_agq} points"
        return (*found, ("Integral", "Laplace approximation" if self.n_agq == 1 else how))

    @property
    def family(self) -> Family:
        return self.solution.problem.family

    @property
    def n_agq(self) -> int:
        quadrature = self.solution.problem.quadrature
        return 1 if quadrature is None else quadrature.n_points

    @property
    def dispersion(self) -> float | None:
        values = self.auxiliary_values.get("dispersion")
        return values if values is None or not np.ndim(values) else self._series(values, "dispersion")

    @property
    def zi(self) -> float | pd.Series | None:
        values = self.auxiliary_values.get("zi")
        return values if values is None or not np.ndim(values) else self._series(values, "zi")

    @handed_out
    def thresholds(self) -> pd.DataFrame | None:
        """Thresholds between ordered categories, with their standard errors."""
        return thresholds(self)

    @cached_property
    def singular_terms(self) -> tuple[str, ...]:
        """One sentence for each random-effects term, and for the dispersion, that is on the boundary."""
        found, flat = super().singular_terms, self._predictors.with_any(self.solution.runs_off())
        return (*found, *(a.boundary if is_one else f"{a.boundary} in some rows" for a, is_one in flat))

    # -- again -----------------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Any]:
        asked = {"n_agq": self.n_agq, "known": self.design.known, "exact": self.solution.problem.exact}
        return asked | self.family.as_arguments() | self.auxiliary_formulas

    def _question(self) -> dict[str, Any]:
        family = self.family
        return {
            "family": family.name,
            "link": family.link.name,
            "n_agq": self.n_agq,
            "auxiliary": self.auxiliary_formulas,
            "exact": self.solution.problem.exact,
        }

    @classmethod
    def _read_design(cls, question: Mapping[str, Any], formula: str, **rows: Any) -> Design:
        family = any_family(question["family"], question["link"])
        support, auxiliary = family.support, question["auxiliary"]
        return build_design(
            formula, binary=support.in_trials, ordered=support.is_ordered, auxiliary=auxiliary, **rows
        )

    @classmethod
    def _restored(
        cls, question: Mapping[str, Any], design: Design, y: FloatArray | None, state: Mapping[str, Any]
    ) -> GeneralizedMixedModelFit:
        family = any_family(question["family"], question["link"]).with_levels(design.response_levels)
        groups, theta_names = arrange(design.random)
        quadrature = _quadrature(question["n_agq"], groups)
        problem = _problem(family, design, groups, quadrature, question.get("exact"))
        if y is not None:
            design = replace(design, y=y)
            problem = problem.with_response(*_checked(family, design))
        kind = IterativeLaplaceSolution if "error" in state else LaplaceSolution
        return cls(design, theta_names, kind.restored(problem, state))

    @checked
    def refit(self, y: FloatArray | pd.Series, warn: bool = True) -> GeneralizedMixedModelFit:
        """Fit the same model to another response; formula and design are not read again.

        Parameters
        ----------
        y : (nobs,) array, or Series with the index of the rows
            As ``fit.simulate`` returns it: successes for a ``cbind`` response, proportions for one with
            weights, categories for an ordinal one.
        warn : bool
            Warn of what makes the estimates doubtful?

        Returns
        -------
        GeneralizedMixedModelFit

        Raises
        ------
        DataError
            For a response that the family cannot have.

        Examples
        --------
        >>> import numpy as np
        >>> import glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> fit.refit(cbpp["incidence"]).deviance == fit.deviance
        True
        """
        y = new_response(scores_like(y, self.family.levels) if self.family.levels else y, self.design.data)
        response, prior = _checked(self.family, replace(self.design, y=y))
        fit = self.with_solution(_solution(self.solution.problem.with_response(response, prior)), y)
        if warn:
            warn_about_estimates(fit)
        return fit

    def with_design(self, design: Design) -> GeneralizedMixedModelFit:
        """Fit the same model to other rows, without a warning.

        Parameters
        ----------
        design : Design
            With the columns and the random-effects terms of this model.

        Returns
        -------
        GeneralizedMixedModelFit

        Examples
        --------
        >>> import glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> fit.with_design(fit.design).deviance == fit.deviance
        True
        """
        groups, theta_names = arrange(design.random)
        own = self.solution.problem
        problem = _problem(self.family, design, groups, own.quadrature, own.exact)
        return GeneralizedMixedModelFit(design, theta_names, _solution(problem))

    def refit_many(self, Y: FloatArray) -> Refits:
        """Fit this model to R responses at once.

        Parameters
        ----------
        Y : (nobs, R) array
            One response a column, such as ``fit.simulate(1000, rng)`` returns.

        Returns
        -------
        Refits
            Estimates, one row a replicate; ``sigma`` is None.

        Raises
        ------
        DataError
            For a response that the family cannot have.

        Notes
        -----
        With one grouping factor and Laplace's approximation all replicates share each step of the optimiser;
        each has its own parameters and its own end, and equals the single fit (module
        ``glmmlib.likelihood.glmm_batch``). Otherwise, and where a replicate is separated or does not
        converge with the others, it is fitted by itself.

        Examples
        --------
        >>> import numpy as np, glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> many = fit.refit_many(fit.simulate(200, rng=np.random.default_rng(1)))
        >>> many.sd["herd.Intercept"].quantile([0.05, 0.95]).round(1).tolist()
        [0.2, 0.9]
        """
        many = refit_many(self, Y)
        warn_about_categories(self, np.asarray(Y, dtype=float))
        return many

    def exp_table(self, level: float = 0.95) -> pd.DataFrame:
        """Return the fixed effects as ratios: odds ratios, rate ratios, mean ratios or hazard ratios.

        The estimate and the ends of its Wald interval are exponentiated; a standard error has no place on
        this scale. A ratio is conditional: it compares members of one group (or of groups with equal random
        effects).

        Parameters
        ----------
        level : float

        Returns
        -------
        DataFrame
            The ratio (named for the family and link), ``lower``, ``upper``, and ``p`` of the coefficient.

        Raises
        ------
        ModelError
            For a link whose coefficients are no logarithms of ratios.

        Examples
        --------
        >>> import glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> fit.exp_table().loc["period[T.2]"].round(3).to_dict()
        {'odds ratio': 0.371, 'lower': 0.203, 'upper': 0.676, 'p': 0.001}
        """
        return exp_table(self, level)

    # -- fitted values ---------------------------------------------------------------------------------

    @handed_out
    def linear_predictor(self) -> pd.Series:
        """X beta + Z b + offset, on the scale of the link."""
        return self._series(self.solution.linear_predictor(), "linear_predictor")

    @handed_out
    def fittedvalues(self) -> pd.Series:
        """Mean responses given the conditional modes: probabilities, or expected counts."""
        mean = self.family.mean(self.linear_predictor.to_numpy(), self.auxiliary)
        return self._series(mean, "fitted")

    @property
    def _locations(self):
        """The inverse link of the linear predictor, as the family takes it."""
        return self.family.link.inverse(self.linear_predictor.to_numpy())

    @property
    def observations(self) -> tuple[FloatArray, FloatArray | None]:
        """Response and prior weights as the family takes them, in the order of the data."""
        return self.solution.observations

    @property
    def resid(self) -> pd.Series:
        """Response residuals: observed minus fitted, on the scale of the mean (proportions for binomial
        data).
        """
        y, weights = self.observations
        return self._series(self.family.observed(y, weights) - self.fittedvalues.to_numpy(), "resid")

    @property
    def resid_pearson(self) -> pd.Series:
        """Residuals divided by the SD of the response given the random effects."""
        weights = self.observations[1]
        variance = self.family.variance(self._locations, weights, self.auxiliary)
        resid, sd = self.resid.to_numpy(), np.sqrt(variance)
        # a mean at the end of its range, where the response is: the residual vanishes faster than its SD
        return self._series(np.divide(resid, sd, out=np.zeros_like(resid), where=sd > 0), "resid_pearson")

    @property
    def resid_deviance(self) -> pd.Series:
        """Signed roots of each row's contribution to the deviance."""
        y, weights = self.observations
        unit = self.family.unit_deviance(y, self._locations, weights, self.auxiliary)
        return self._series(np.sign(self.resid.to_numpy()) * np.sqrt(np.maximum(unit, 0.0)), "resid_deviance")
