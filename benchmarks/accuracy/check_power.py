"""How often `gl.check` calls a right model wrong, and how often it catches a wrong one.

    python benchmarks/accuracy/check_power.py                   # everything, some ten minutes
    python benchmarks/accuracy/check_power.py --only slope --studies 50

Prints the tables of check_power.md. The tests of a check are run, not its refits without a group, which test
nothing. All data sets have 40 groups of 25 rows, x uniform on (-1, 1) and a random intercept.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from scipy.stats import kstest

import glmmlib as gl
from glmmlib.diagnostics.calibration import calibrate
from glmmlib.diagnostics.residual_lines import residual_lines
from glmmlib.errors import GlmmlibWarning

J, M = 40, 25
LINES = ("overdispersion", "equal spread", "zeros", "outliers", "uniformity", "curves", "varying slopes")


def rows(rng):
    g = np.repeat(np.arange(J), M)
    return pd.DataFrame({"g": g, "x": rng.uniform(-1.0, 1.0, J * M)}), rng.normal(scale=0.5, size=J)[g]


def counts(rng, mean=3.0):
    """Means with a random intercept (SD 0.5) and a slope of 0.3; their average over the groups is `mean` at x
    = 0.
    """
    data, b = rows(rng)
    return data, mean * np.exp(0.3 * data["x"].to_numpy() + b - 0.125)


def right_linear(rng):
    data, b = rows(rng)
    return data.assign(y=1.0 + data["x"] + b + rng.normal(size=len(data))), "gaussian"


def right_poisson(rng):
    data, mu = counts(rng)
    return data.assign(y=rng.poisson(mu)), "poisson"


def right_binomial(rng):
    data, b = rows(rng)
    p = 1.0 / (1.0 + np.exp(-0.5 * data["x"] - b))
    return data.assign(y=rng.binomial(8, p) / 8, n=8), "binomial"


def overdispersed(rng):
    """NB2 with k = 1, fitted as Poisson."""
    data, mu = counts(rng)
    return data.assign(y=rng.poisson(mu * rng.standard_gamma(1.0, len(mu)))), "poisson"


def zeros(rng):
    """Poisson with mean 3, and 20 % of the rows zero whatever their mean."""
    data, mu = counts(rng)
    return data.assign(y=rng.poisson(mu) * (rng.random(len(mu)) > 0.2)), "poisson"


def quadratic(rng):
    """A quadratic effect that explains 20 % of the variance, fitted as linear."""
    data, b = rows(rng)
    curve = data["x"] ** 2
    curve = (curve - 1.0 / 3.0) / np.sqrt(4.0 / 45.0)  # mean 0, variance 1
    others = 1.0 / 3.0 + 0.25 + 1.0  # of x, the intercepts and the residuals
    return data.assign(
        y=data["x"] + b + np.sqrt(others / 4.0) * curve + rng.normal(size=len(data))
    ), "gaussian"


def slope(rng):
    """A random slope whose SD is half the fixed slope of 1, fitted without."""
    data, b = rows(rng)
    slopes = 1.0 + rng.normal(scale=0.5, size=J)[data["g"]]
    return data.assign(y=slopes * data["x"] + b + rng.normal(size=len(data))), "gaussian"


RIGHT = {"linear": right_linear, "poisson": right_poisson, "binomial": right_binomial}
WRONG = {  # and the line that is to catch it
    "overdispersed": (overdispersed, "overdispersion"),
    "zeros": (zeros, "zeros"),
    "quadratic": (quadratic, "curves"),
    "slope": (slope, "varying slopes"),
}


def fit(data, family):
    if family == "gaussian":
        return gl.lmer("y ~ x + (1 | g)", data)
    return gl.glmer("y ~ x + (1 | g)", data, family=family, weights="n" if family == "binomial" else None)


def study(make, n_studies, n, seed, raw=False):
    """Return the p-value of each line (columns) for each data set (rows), and the processor seconds."""
    found, start = [], time.process_time()
    for source in np.random.SeedSequence(seed).spawn(n_studies):
        rng = np.random.default_rng(source)
        model = fit(*make(rng))
        row = {line.name: line.p for line in residual_lines(model, calibrate(model, n, rng))}
        if raw:
            for kind in (False, True):
                name = "raw, conditional" if kind else "raw, unconditional"
                row[name] = gl.simulated_residuals(model, rng=rng, conditional=kind).uniformity.p
        if make is slope:
            larger = gl.lmer("y ~ x + (x | g)", model.design.data)
            row["anova"] = float(gl.anova(model, larger).table["p"].iloc[1])
        found.append(row)
    return pd.DataFrame(found), time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--studies", type=int, help="data sets of each kind (500 right, 200 wrong)")
    parser.add_argument("-n", type=int, default=99, help="refits of each check")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [*RIGHT, *WRONG]
    warnings.simplefilter("ignore", GlmmlibWarning)
    print(f"| right model | line | p < 0.05 | p of uniformity ({options.n} refits) |\n|---|---|---|---|")
    for name in (name for name in RIGHT if name in wanted):
        table, seconds = study(RIGHT[name], options.studies or 500, options.n, 1, raw=True)
        for line, p in table.items():
            share, R = (p < 0.05).mean(), len(p)
            error = np.sqrt(max(share, 0.01) * (1 - share) / R)
            print(
                f"| {name} | {line} | {share:.3f} ± {error:.3f} | {kstest(p, 'uniform').pvalue:.3f} |",
                flush=True,
            )
        print(f"| {name} | | | {seconds / len(table):.2f} s a data set |", flush=True)
    print("\n| wrong model | " + " | ".join((*LINES, "anova")) + " | caught |\n|" + "---|" * (len(LINES) + 3))
    for name in (name for name in WRONG if name in wanted):
        make, line = WRONG[name]
        table, _ = study(make, options.studies or 200, options.n, 2)
        share = (table < 0.05).mean()
        cells = [f"{share[c]:.3f}" if c in share else "" for c in (*LINES, "anova")]
        print(f"| {name} | {' | '.join(cells)} | {share[line]:.3f} by {line} |", flush=True)


if __name__ == "__main__":
    main()
