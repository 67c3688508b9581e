"""The lines of :func:`glmmlib.check` that look at the fit itself: estimation, columns, groups."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from glmmlib.diagnostics.influence import influence
from glmmlib.diagnostics.integral import sampled_shift
from glmmlib.diagnostics.verdict import FINE, LOOK, PROBLEM, Line, by_size
from glmmlib.fitted import FittedGeneralizedModel, FittedModel
from glmmlib.models.fit_warnings import VISIBLE_SHIFT, quadrature_shift

SCALES = 1e4  # ratio of the SDs of two columns from which coefficients are hard to read side by side
FAR = 100.0  # mean over SD of a column: the intercept then describes a place far from the data
COLLINEAR = 30.0  # condition number of the standardised columns (Belsley, Kuh and Welsch 1980)


def fit_lines(fit: FittedModel, rng: np.random.Generator) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Return the lines that come before those of the residuals, and those that come after."""
    start = [_convergence(fit), _singularity(fit), _scaling(fit)]
    if not fit.is_linear:
        start.append(integral_line(cast(FittedGeneralizedModel, fit), rng))
    return tuple(start), (_influence(fit),) if len(fit.params) and fit.ngroups else ()


def _convergence(fit: FittedModel) -> Line:
    c = fit.convergence
    separation = getattr(fit, "separation", None)
    shown = f"{c.promise:.0e}"
    if separation is not None:
        return Line("convergence", PROBLEM, c.promise, shown, str(separation))
    if not c.converged:
        return Line(
            "convergence",
            PROBLEM,
            c.promise,
            shown,
            f"{c}: try fewer random effects, or another scale of the columns",
        )
    return Line(
        "convergence",
        FINE,
        c.promise,
        shown,
        "the optimiser reached the maximum: a further step would gain nothing",
    )


def _singularity(fit):
    theta = fit.solution.standard_theta
    groups = [g for g in fit.groups if not g.is_curve]
    blocks = [(b.structure, theta[b.index]) for g in groups for b in g.covariance.blocks]
    if not fit.groups:
        return Line("singularity", FINE, 1.0, "1", "there is no random effect whose variance could be zero")
    if not blocks:
        said = "the model has curves only, and one that is straight is an answer like any other"
        return Line("singularity", FINE, 1.0, "1", said)
    smallest, structure = min(
        ((s.boundary_distance(par), s) for s, par in blocks), key=lambda distance_of: distance_of[0]
    )
    shown = f"{smallest:.2g}"
    if not fit.singular_terms:
        return Line(
            "singularity",
            FINE,
            smallest,
            shown,
            "all variances are positive and no correlation is plus or minus one",
        )
    sentences = "; ".join(fit.singular_terms)
    if fit.singular_terms == (fit.no_residual,):
        return Line(
            "singularity", LOOK, smallest, shown, f"{sentences}: are the rows measured without error?"
        )
    return Line("singularity", LOOK, smallest, shown, f"{sentences}: {structure.boundary_advice}")


def _scaling(fit: FittedModel) -> Line:
    X = fit.X
    sd = X.std(axis=0)
    varying = sd > 1e-12 * np.abs(X).max(axis=0, initial=0.0)
    names = np.array(fit.params.index)[varying]
    if not varying.any():
        return Line("scaling", FINE, 1.0, "1", "the fixed part is constant, so there is nothing to scale")
    sd, mean = sd[varying], np.abs(X[:, varying].mean(axis=0))
    condition = float(np.linalg.cond((X[:, varying] - X[:, varying].mean(axis=0)) / sd))
    if condition > COLLINEAR:
        return Line(
            "scaling",
            LOOK,
            condition,
            f"{condition:.3g}",
            f"some columns of {_listed(names)} nearly repeat each other (condition number): their "
            "coefficients"
            " cannot be told apart well; leave one out or combine them",
        )
    ratio = float(sd.max() / sd.min())
    if ratio > SCALES:
        big, small = names[np.argmax(sd)], names[np.argmin(sd)]
        return Line(
            "scaling",
            LOOK,
            ratio,
            f"{ratio:.1e}",
            f"{big} and {small} have very different units: the fit does not"
            " suffer, but choose units in which coefficients can be read side by side",
        )
    far = float((mean / sd).max())
    if far > FAR and "Intercept" in fit.params:
        name = names[np.argmax(mean / sd)]
        return Line(
            "scaling",
            LOOK,
            far,
            f"{far:.3g}",
            f"the mean of {name} is that many SDs away from 0, so the intercept,"
            f" its variance and its correlations describe a place without data: centre {name}",
        )
    sentence = "the columns of the fixed effects have comparable units and can be told apart"
    return Line("scaling", FINE, ratio, f"{ratio:.3g}", sentence)


def _listed(names: Sequence[str]):
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")


def integral_line(fit: FittedGeneralizedModel, rng: np.random.Generator) -> Line:
    """Return the line of the integral over the random effects: a finer rule, or draws where there is none."""
    shift = quadrature_shift(fit)
    if shift is None:
        return _sampled(sampled_shift(fit, rng))
    verdict = by_size(shift.size, VISIBLE_SHIFT, 1.0)
    if verdict == FINE:
        sentence = "a finer integral over the random effects would change no estimate visibly"
    else:
        points = max(9, 2 * fit.n_agq + 1)
        sentence = (
            f"more quadrature points would move {shift.parameter} by that many SEs: refit with n_agq={points}"
        )
    return Line("quadrature", verdict, shift.size, f"{shift.size:.2g} SE", sentence)


def _sampled(found):
    """The line where no finer rule tells: from draws of the random effects."""
    if not found.is_told:
        sentence = (
            "how far Laplace's approximation is off cannot be told: of the draws around the mode, a few have "
            f"all the weight (an effective number of {found.n_effective:.1f}); compare with gl.posterior, or "
            "with a model of fewer random effects"
        )
        return Line("quadrature", LOOK, np.nan, "", sentence)
    verdict = by_size(found.size - 2.0 * found.error, VISIBLE_SHIFT, 1.0)
    error = f"Monte Carlo error {found.error:.1g} SE"
    if verdict == FINE:
        sentence = f"draws around the mode do not say that a better integral would move an estimate ({error})"
    else:
        sentence = (
            "Laplace's approximation is rough here: draws around the mode say that the exact likelihood "
            f"would move {found.parameter} by that many SEs ({error}); compare with gl.posterior, which "
            "weighs them"
        )
    return Line("quadrature", verdict, found.size, f"{found.size:.2g} SE", sentence)


def _influence(fit: FittedModel) -> Line:
    found = influence(fit)
    group, level, coefficient, change = found.largest
    verdict = by_size(abs(change), 1.0, 2.0)
    sentence = f"without {level} of {group}, {coefficient} changes by {change:+.2f} SE"
    sentence += (
        ", more than any other group brings about"
        if verdict == FINE
        else ": look at its rows, and report both fits"
    )
    return Line("influence", verdict, abs(change), f"{abs(change):.2f} SE", sentence)
