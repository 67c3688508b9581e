"""Are posterior draws calibrated? Truths drawn from the priors, and their ranks among the draws.

    python benchmarks/accuracy/posterior_calibration.py > benchmarks/accuracy/posterior_calibration.md

Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari and Gelman 2018): with parameters drawn from the priors
and a response drawn from them, the rank of each parameter among its posterior draws is uniform. A few minutes.
"""

import argparse
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.bayes.generalised import GeneralisedMarginal
from glmmlib.bayes.importance import sample
from glmmlib.bayes.linear import LinearMarginal
from glmmlib.bayes.scores import NormalScores
from glmmlib.bayes.specification import priors_of
from glmmlib.errors import ModelError

FIXEF = {"Intercept": "normal(0, 1.5)", "x": "normal(0, 1)"}
DESIGNS = {
    "normal, 5 groups of 4": ("gaussian", 5, 4, 600),
    "Bernoulli, 8 groups of 10": ("binomial", 8, 10, 200),
    "Bernoulli, 40 groups of 5": ("binomial", 40, 5, 100),
    "Poisson, 6 groups of 6": ("poisson", 6, 6, 200),
}
WHAT = ("intercept", "slope", "SD between groups", "effect of one group", "residual SD")


def prepared(family, J, n, rng):
    """A fit of the design to any response, its scores, and the class of its marginal likelihood."""
    d = pd.DataFrame({"g": np.repeat(np.arange(J), n), "x": rng.normal(size=J * n)})
    known = {"fixef": [0.0, 0.5], "sd": {"g": 1.0}, "rng": rng}
    if family == "gaussian":
        d["y"] = gl.simulate("~ x + (1 | g)", d, sigma=1.0, **known)
        fit = gl.lmer("y ~ x + (1 | g)", d)
        priors = priors_of(fit, FIXEF, "half_t(3, 1)", None, sigma="exponential(1)")
        return fit, NormalScores(fit, priors), LinearMarginal
    d["y"] = gl.simulate("~ x + (1 | g)", d, family=family, **known)
    fit = gl.glmer("y ~ x + (1 | g)", d, family=family)
    return fit, NormalScores(fit, priors_of(fit, FIXEF, "half_normal(1)", None)), GeneralisedMarginal


def ranks_of(fit, scores, make, draws, rng):
    """Ranks (between 0 and 1) of one truth among the draws given its response, and khat."""
    par = scores.at(rng.standard_normal((1, scores.size)))
    beta = par.beta
    if beta is None:
        beta = (scores.location + par.spread * rng.standard_normal(par.spread.shape)) @ scores.to_user.T
    (group,) = fit.groups
    b = par.roots[0][0, 0, 0] * rng.standard_normal(len(group.levels))
    eta = fit.X @ beta[0] + b[group.factor.codes]
    y = fit.family.draw(eta, None, par.auxiliary, rng)
    problem = fit.solution.problem.with_response(y)
    marginal = make(SimpleNamespace(solution=SimpleNamespace(problem=problem), groups=fit.groups), scores)
    found = sample(marginal, np.zeros(scores.size), draws, rng)
    effects, at = marginal.effects(found.Z, found.drawn, found.which, rng), scores.at(found.Z)
    pairs = [
        (effects.beta[:, 0], beta[0, 0]),
        (effects.beta[:, 1], beta[0, 1]),
        (at.roots[0][:, 0, 0], par.roots[0][0, 0, 0]),
        (effects.random[0][:, 0, 0], b[0]),
    ]
    if par.auxiliary is not None:
        pairs.append((at.auxiliary, par.auxiliary[0]))
    return [float((values < truth).mean()) for values, truth in pairs], found.khat


def study(name, studies, draws, rng):
    family, J, n, most = DESIGNS[name]
    fit, scores, make = prepared(family, J, n, rng)
    found, khats, refused = [], [], 0
    for _ in range(min(studies, most)):
        try:
            ranks, khat = ranks_of(fit, scores, make, draws, rng)
        except ModelError:
            refused += 1
            continue
        found.append(ranks)
        khats.append(khat)
    print(f"{name}: {len(found)} studies, {refused} refused", file=sys.stderr)
    return np.array(found), np.array(khats), refused


def rows(name, ranks, khats):
    error = np.sqrt(1 / 12 / len(ranks))
    for what, r in zip(WHAT, ranks.T, strict=False):
        inside = (np.abs(r - 0.5) < 0.475).mean()
        yield (
            f"| {name} | {what} | {len(r):,} | {inside:.3f} | {r.mean():.3f} ({error:.3f}) | "
            f"{np.quantile(khats, 0.95):.2f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=500)
    given = parser.parse_args()
    print(f"""# Calibration of posterior draws

Parameters are drawn from the priors, a response from the parameters, and {given.draws:,} posterior draws given the response
(`gl.posterior`, model `y ~ x + (1 | g)`). Right draws have the truth in their 95 % interval in 0.950 of the studies, and
a mean rank of 0.500, with the Monte Carlo error in brackets. Priors: {FIXEF["Intercept"]} and {FIXEF["x"]} for intercept and slope,
half_t(3, 1) (normal) or half_normal(1) for the SD, exponential(1) for the residual SD. Made by
`posterior_calibration.py` in `benchmarks/accuracy`.

| design | parameter | studies | coverage | mean rank | khat, 95 % below |
|---|---|---|---|---|---|""")
    all_refused = 0
    for k, name in enumerate(DESIGNS):
        *found, refused = study(name, given.studies, given.draws, np.random.default_rng([7, k]))
        all_refused += refused
        for row in rows(name, *found):
            print(row, flush=True)
    print(f"\nStudies refused: {all_refused}.")


if __name__ == "__main__":
    main()
