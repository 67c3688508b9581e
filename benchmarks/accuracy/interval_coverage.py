"""How often intervals for the SD between groups hold the true one: Wald, profile likelihood, bootstrap.

    python benchmarks/accuracy/interval_coverage.py > benchmarks/accuracy/interval_coverage.md

Simulates 1,000 data sets of 20 groups for each true SD and takes about five minutes.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

import glmmlib as gl
from glmmlib.errors import GlmmlibWarning

GROUPS, SIZE, SIGMA = 20, 10, 1.0
TRUTHS = (0.2, 0.5, 1.0)
METHODS = ("Wald", "Wald, log scale", "profile", "bootstrap, percentile", "bootstrap, basic")
NAME = "sd group.Intercept"


def wald(fit):
    """Return the REML estimate of the SD and its standard error, which mean squares give in balanced data."""
    cells = fit.design.y.reshape(GROUPS, SIZE)
    between = SIZE * cells.mean(axis=1).var(ddof=1)
    within = cells.var(axis=1, ddof=1).mean()
    variance = 2.0 / SIZE**2 * (between**2 / (GROUPS - 1) + within**2 / (GROUPS * (SIZE - 1)))
    sd = fit.varcorr["group"].sd["Intercept"]
    return sd, np.sqrt(variance) / (2.0 * sd) if sd > 0 else np.nan


def intervals(fit, replicates, rng):
    """Return lower and upper ends, one row for each of METHODS; NaN where a method has none."""
    sd, se = wald(fit)
    boot = fit.bootstrap(replicates, rng=rng)
    profile = fit.conf_int(method="profile", parm=NAME).loc[NAME]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        factor = np.exp(1.96 * se / sd) if sd > 0 else np.nan
    rows = [
        (sd - 1.96 * se, sd + 1.96 * se),
        (sd / factor, sd * factor),
        tuple(profile),
        *(tuple(boot.conf_int(parm=NAME, kind=kind).loc[NAME]) for kind in ("percentile", "basic")),
    ]
    return np.array(rows)


def one(start, y, replicates, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        return intervals(start.refit(y), replicates, rng)


def study(truth, n, replicates, rng):
    data = pd.DataFrame({"group": np.repeat(np.arange(GROUPS), SIZE)})
    known = {"fixef": [0.0], "sd": {"group": truth}, "sigma": SIGMA}
    Y = gl.simulate("~ 1 + (1 | group)", data, **known, n=n, rng=rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        start = gl.lmer("y ~ 1 + (1 | group)", data.assign(y=Y[:, 0]))
    seeds = rng.spawn(n)
    return np.array(
        Parallel()(delayed(one)(start, y, replicates, seed) for y, seed in zip(Y.T, seeds, strict=True))
    )


def table(truth, found):
    lower, upper = found[:, :, 0], found[:, :, 1]
    covers = (lower <= truth) & (truth <= upper)
    width = np.nanmedian(upper - lower, axis=0)
    rows = zip(
        METHODS,
        covers.mean(axis=0),
        (lower > truth).mean(axis=0),
        (upper < truth).mean(axis=0),
        np.isnan(lower).mean(axis=0),
        width,
        strict=True,
    )
    return [
        f"| {truth:g} | {m} | {c:.3f} | {low:.3f} | {high:.3f} | {none:.3f} | {w:.2f} |"
        for m, c, low, high, none, w in rows
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=1000)
    options = parser.parse_args()
    rng = np.random.default_rng(2026)
    error = np.sqrt(0.95 * 0.05 / options.studies)
    print(f"""# Coverage of 95 % intervals for the SD between groups

{options.studies:,} simulated data sets for each true SD: {GROUPS} groups of {SIZE} rows, residual SD {SIGMA:g}, model
`y ~ 1 + (1 | group)`.  A right interval covers in 0.950 of them; its Monte Carlo standard error is {error:.3f}.  Made by
`benchmarks/accuracy/interval_coverage.py`.

- **Wald**: REML estimate -+ 1.96 standard errors, on the scale of the SD and on that of its logarithm; none where the estimate
  is zero, which counts as not covering.
- **profile**: `fit.conf_int(method="profile")`, which is maximum likelihood.
- **bootstrap**: `fit.conf_int(method="bootstrap")`, parametric, {options.replicates:,} replicates of the REML fit.

| true SD | interval | coverage | too high | too low | none | median width |
|---|---|---|---|---|---|---|""")
    for truth in TRUTHS:
        print("\n".join(table(truth, study(truth, options.studies, options.replicates, rng))), flush=True)


if __name__ == "__main__":
    main()
