"""The methods section of a report, and what a reader must know before trusting its numbers."""

from collections.abc import Iterator
from typing import Any

from glmmlib._version import __version__
from glmmlib.display.words import counted, joined, sentence
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import DDF_TITLE
from glmmlib.reporting.formats import code

LISTED = 8  # more names than this are left to the tables


def methods(fit: FittedModel, numbers: Any) -> Iterator[str]:
    """Yield the sentences that say how the model was fitted, tested and given intervals."""
    d = fit.design
    yield (
        f"{_model(fit)} was fitted to {counted(fit.nobs, 'row')} of {code(d.response_name)}"
        f"{_groups(fit)}, with glmmlib {__version__}"
        f" and the formula {code(fit.formula)}."
    )
    yield f"Parameters were estimated by {fit.estimation}."
    yield from _random_effects(fit)
    yield from _auxiliary(fit)
    if d.weights is not None:
        trials = fit.family.support.in_trials
        yield f"{'The numbers of trials' if trials else 'Known weights of the rows'} were given as weights."
    if d.offset is not None:
        yield "The linear predictor held a known offset."
    if d.n_missing:
        yield (
            f"{counted(d.n_missing, 'further row').capitalize()} with {d.why_left_out} {_were(d.n_missing)} "
            "left out."
        )
    if d.aliased:
        yield (
            f"{joined([code(name) for name in d.aliased])} {_were(len(d.aliased))} left out, as it follows "
            "from the other columns."
        )
    yield from _references(fit)
    if len(fit.params):
        yield _tests(fit, numbers)
    if len(fit.params) or numbers.method != "wald":
        yield from _intervals(fit, numbers)


def _auxiliary(fit):
    for own, text in fit.modelled_auxiliary():
        yield (
            f"The {own.title} {own.symbol} had a linear predictor of its own, {code(text)} "
            f"({own.link.name} link)."
        )
    residual = fit.design.residual
    if residual is not None:
        yield (
            f"Residuals were correlated within the {counted(len(residual.grouping.levels), 'level')} of "
            f"{code(residual.grouping.name)}, by {code(residual.term.text)}."
        )


def _model(fit: FittedModel) -> str:
    details = "" if fit.is_linear else f" ({fit.family.title} distribution, {fit.family.link.name} link)"
    return f"A {fit.kind}{details}"


def _groups(fit: FittedModel) -> str:
    found = [
        f"{counted(n, 'effect' if g.is_whole else 'level')} of {code(name)}"
        for g in fit.groups
        for name, n in g.counts().items()
    ]
    return f" in {joined(found)}" if found else ""


def _curve(group):
    """Describe a curve, by the word of its basis."""
    (term,) = group.terms
    what, options = term.smoothed, dict(term.options)
    cyclic = "cyclic " if options.get("bs") == "cc" else ""
    return (
        f"The effect of {code(what)}{_where(options)} was a {cyclic}cubic regression spline with "
        f"{group.q + 2} knots, whose penalty was estimated as a variance."
    )


def _where(options):
    if "level" in options:
        return f" at {code(options['level'])}"
    return f", times {code(options['by'])}," if "by" in options else ""


def _random_effects(fit):
    groups = {}
    for g in fit.groups:
        if g.is_curve:
            yield _curve(g)
            continue
        phrases = [(term, b.structure.phrase) for b, _, term in g.parts_of_covariance()]
        if any(phrase for _, phrase in phrases):
            for term, phrase in phrases:
                where = "over all rows" if g.is_whole else f"between the levels of {code(g.name)}"
                yield f"{code(term.text)} varied at random {where}{', ' * bool(phrase)}{phrase}."
            continue
        free, pairs = int(fit.varcorr[g.name].free.sum() - g.q) // 2, g.q * (g.q - 1) // 2
        tie = ""
        if pairs:
            tie = (
                ", and might correlate"
                if free == pairs
                else ", some of them correlated"
                if free
                else ", uncorrelated"
            )
        effects = sentence(joined([_effect(name) for name in g.columns]))
        groups.setdefault((effects, tie), []).append(code(g.name))
    for (effects, tie), names in groups.items():
        yield f"{effects} varied at random between the levels of {joined(names)}{tie}."


def _effect(name: str) -> str:
    return "the intercept" if name == "Intercept" else f"the effect of {code(name)}"


def _references(fit: FittedModel) -> Iterator[str]:
    factors = [
        (name, levels)
        for name, levels in fit.design.category_levels.items()
        if any(f"{name}[T." in coefficient for coefficient in fit.params.index)
    ]
    if factors:
        which = joined([f"{code(levels[0])} of {code(name)}" for name, levels in factors])
        yield f"The coefficients of a factor compare with its reference level, which was {which}."


def _tests(fit, numbers):
    if numbers.ddf == "z":
        how = "z tests (normal approximation)" if fit.is_linear else "Wald z tests"
    else:
        how = f"t tests with {DDF_TITLE[numbers.ddf]} degrees of freedom"
    terms = ""
    if numbers.terms is not None:
        joint = "Wald chi-square tests" if numbers.ddf == "z" else "F tests with the same degrees of freedom"
        terms = f", terms of several coefficients by {joint} (type III)"
    return f"Fixed effects were tested two-sided by {how}{terms}."


def _intervals(fit, numbers):
    scale = f", exponentiated for {numbers.ratio}s" if numbers.ratio else ""
    name = f"Confidence intervals ({numbers.percent} CI)"
    if numbers.method == "wald":
        df = "" if numbers.ddf == "z" else " with the degrees of freedom of the tests"
        yield f"{name} are Wald intervals{df}{scale}."
        yield "Variance parameters have none, as their estimates are far from normal."
    elif numbers.method == "profile":
        yield (
            f"{name} are profile likelihood "
            f"intervals{', from a refit by maximum likelihood' if fit.reml else ''}{scale}."
        )
    else:
        kind, n = numbers.options.get("kind", "percentile"), numbers.options.get("n", 1000)
        yield f"{name} are {kind} intervals of a parametric bootstrap with {n:,} refits{scale}."


def caveats(fit: FittedModel, numbers: Any) -> Iterator[str]:
    """Yield what limits the trust in the numbers."""
    if not fit.convergence.converged:
        yield f"The optimiser did not converge: {fit.convergence}."
    separation = getattr(fit, "separation", None)
    if separation is not None:
        yield f"{sentence(str(separation))}."
    for text in fit.singular_terms:
        yield f"The fit is singular: {text}; tests of the fixed effects take that as known."
    if fit.is_refit:
        yield "The response was given to refit, so it is not the one in the data."
    if fit.family.caveat:
        yield fit.family.caveat
    for note in numbers.notes:
        yield f"{sentence(note)}."


# --- words ------------------------------------------------------------------------------------------


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def ratio_name(fit: FittedModel) -> str | None:
    """Return what exp(coefficient) is, such as "odds ratio", or None; the intercept's is none."""
    return fit.family.ratio if any(name != "Intercept" for name in fit.params.index) else None
