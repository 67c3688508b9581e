"""Random models against R: the same rows, the same model, and how far criterion, estimates and errors are apart.

    python benchmarks/accuracy/against_r.py [--count 40] [--first 0]

Model k of a kind is drawn by ``numpy.random.default_rng([31, number of the kind, k])``. R needs lme4, lmerTest, pbkrtest,
nlme, glmmTMB, mgcv, gamm4, emmeans and jsonlite. Prints the table of ``against_r.md``: minutes for 40 models of each kind.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.errors import GlmmlibError

UNITS = {"estimate": "se", "curve": "SE of the curve"}  # zero has a place among estimates, not among errors
HIGHER = 1e-4  # of a criterion: what no two optimisers that found one maximum differ by
IN_R = Path(__file__).with_suffix(".R")


@dataclass(frozen=True)
class Task:
    """A model as glmmlib takes it, and what R is asked: a function of against_r.R and its arguments."""

    rows: pd.DataFrame
    formula: str
    options: dict[str, Any]
    r: dict[str, Any]
    tested: str | None = None  # the factor whose means are compared


@dataclass(frozen=True)
class Kind:
    """A kind of models: how they are drawn, and the columns of R's answers that are compared."""

    name: str
    judge: str
    draw: Callable[[np.random.Generator, int], Task]
    compared: tuple[str, ...] = field(default=("estimate", "se"))


def grouped(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Rows in crossed groups, with a covariate whose origin and unit are odd, two factors and weights."""
    d = pd.DataFrame({"g": rng.integers(0, rng.integers(8, 25), n), "h": rng.integers(0, 9, n)})
    d["x"] = rng.normal(rng.choice([0, 5, 20]), rng.choice([0.1, 1, 10]), n)
    d["a"], d["b"], d["k"] = (rng.integers(0, m, n) for m in (3, 2, 3))
    if rng.random() < 1 / 3:  # a predictor of the group
        d["a"] = rng.integers(0, 3, 30)[d.g]
    d["w"] = rng.choice([0.5, 1, 2, 4], n)
    return d


def named(d: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Codes as levels that sort in R as in Python."""
    return d.assign(**{c: [f"{c}{code:02d}" for code in d[c]] for c in columns})


LINEAR = (
    "y ~ a*b + x + (1|g)",
    "y ~ a + x + (x|g)",
    "y ~ a*x + (1|g) + (1|h)",
    "y ~ a*b + (1|g/k)",
    "y ~ a + b + x + (x||g)",
    "y ~ a*x + (0+x|g)",
    "y ~ a*b*x + (1|g)",
    "y ~ a + x + (1|g) + (0+x|h)",
)


def linear(rng: np.random.Generator, k: int) -> Task:
    d = grouped(rng, int(rng.integers(60, 220)))
    z = ((d.x - d.x.mean()) / d.x.std()).to_numpy()
    own, slope, other = rng.normal(0, 1, 30)[d.g], rng.normal(0, 0.6, 30)[d.g], rng.normal(0, 0.7, 9)[d.h]
    d["y"] = 3 + z + 0.5 * d.a + own + slope * z + other + rng.normal(0, 1, len(d))
    weights = "w" if k % 5 == 0 else None
    formula = LINEAR[k % len(LINEAR)]
    asked = {"what": "linear", "formula": formula, "weights": weights or ""}
    return Task(named(d, "g", "h", "a", "b", "k"), formula, {"weights": weights}, asked, "a")


RESIDUAL = (  # of glmmlib; their functions of nlme are in the same order in against_r.R
    ("y ~ x + v", {"residual": "us(v | g)"}),
    ("y ~ x + t", {"residual": "ar1(t | g)"}),
    ("y ~ x + t", {"residual": "cs(v | g, hom=True)"}),
    ("y ~ x + t + (1 | g)", {"sigma": "~ arm"}),
    ("y ~ x + t + (1 | g)", {"residual": "ar1(t | g)"}),
    ("y ~ x + t", {"residual": "ar1(t | g)", "sigma": "~ arm"}),
    ("y ~ x*arm + v", {"residual": "us(v | g)"}),
    ("y ~ x + t + (x | g)", {"sigma": "~ arm"}),
)


def residual(rng: np.random.Generator, k: int) -> Task:
    J, T = int(rng.integers(15, 50)), int(rng.integers(3, 6))
    d = pd.DataFrame({"g": np.repeat(np.arange(J), T), "t": np.tile(np.arange(T), J)})
    d["x"], d["arm"] = rng.normal(size=J * T), rng.integers(0, 3, J)[d.g]
    rho, noise = rng.uniform(-0.5, 0.9), rng.normal(size=(J, T))
    for t in range(1, T):
        noise[:, t] = rho * noise[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    spread = np.where(d.arm == 1, rng.uniform(0.4, 2.5), 1.0)
    d["y"] = 2 + 0.5 * d.x + 0.3 * d.t + noise.ravel() * spread + rng.choice([0, 1]) * rng.normal(size=J)[d.g]
    d = d[rng.random(J * T) > 0.15] if k % 2 else d
    formula, options = RESIDUAL[k % len(RESIDUAL)]
    d = named(d.assign(v=d.t, position=d.t + 1), "g", "v", "arm")
    return Task(d, formula, options, {"what": "residual", "which": k % len(RESIDUAL) + 1})


CURVES = ("y ~ z + s(x, k=8)", "y ~ z + f + s(x, by=f, k=7)", "y ~ z + s(x, bs='cc', k=9)")
CURVES += ("y ~ z + s(x, k=8) + (1 | g)", "y ~ z + s(x, k=8) + (z | g)")


def curve(rng: np.random.Generator, k: int) -> Task:
    n = int(rng.integers(80, 400))
    d = pd.DataFrame({"g": rng.integers(0, 12, n), "f": rng.integers(0, 2, n), "z": rng.normal(size=n)})
    u = rng.uniform(0, 1, n)
    d["x"] = u * rng.choice([1, 100])
    bend = rng.choice([0.2, 0.5, 1.0]) * np.sin(5 * u) + 0.6 * d.f * u
    d["y"] = 0.2 * d.z + bend + rng.normal(0, 0.5, 12)[d.g] + rng.normal(0, 0.6, n)
    asked = {"what": "curve", "which": k % len(CURVES) + 1}
    return Task(named(d, "g", "f"), CURVES[k % len(CURVES)], {}, asked)


GENERALISED: tuple[tuple[str, str, dict[str, Any]], ...] = (  # response, family of R, options of glmmlib
    ("s", "binomial('logit')", {"family": "binomial"}),
    ("s", "binomial('probit')", {"family": "binomial", "link": "probit"}),
    ("s", "binomial('cloglog')", {"family": "binomial", "link": "cloglog"}),
    ("cbind(m, 7 - m)", "binomial('logit')", {"family": "binomial"}),
    ("n", "poisson()", {"family": "poisson"}),
    ("o", "nbinom2()", {"family": "negbinomial"}),
    ("o", "nbinom1()", {"family": "negbinomial1"}),
    ("q", "Gamma('log')", {"family": "gamma"}),
    ("p", "beta_family()", {"family": "beta"}),
    ("cbind(m, 7 - m)", "betabinomial()", {"family": "betabinomial"}),
    ("o + 1", "truncated_poisson()", {"family": "truncated_poisson"}),
    ("o", "poisson()", {"family": "poisson", "zi": "~ z"}),
)


def generalised(rng: np.random.Generator, k: int) -> Task:
    n = int(rng.integers(150, 400))
    d = pd.DataFrame({"g": rng.integers(0, 15, n), "a": rng.integers(0, 3, n), "z": rng.normal(size=n)})
    eta = 0.3 + 0.4 * d.z + 0.3 * (d.a == 2) + rng.normal(0, 0.6, 15)[d.g] * (1 + 0.4 * d.z)
    share, mean = 1 / (1 + np.exp(-eta)), np.exp(0.3 + 0.6 * eta)
    scattered = rng.gamma(2.0, 0.5, n)
    d["s"], d["n"] = rng.binomial(1, share), rng.poisson(mean)
    d["m"] = rng.binomial(7, rng.beta(4 * share, 4 * (1 - share)))
    d["o"], d["q"] = rng.poisson(mean * scattered), mean * rng.gamma(3.0, 1 / 3, n)
    d["p"] = rng.beta(5 * share, 5 * (1 - share)).clip(1e-6, 1 - 1e-6)
    response, family, options = GENERALISED[k % len(GENERALISED)]
    random = "(z | g)" if k // len(GENERALISED) % 2 else "(1 | g)"
    if response == "o + 1":
        d["o1"], response = d.o + 1, "o1"
    formula = f"{response} ~ z + a + {random}"
    asked = {"what": "generalised", "formula": formula, "family": family, "zi": options.get("zi", "~0")}
    return Task(named(d, "g", "a"), formula, options, asked)


TESTS = ("estimate", "se", "df", "KR se", "KR df", "F", "KR F", "means", "means' df", "p of pairs (Tukey)")
KINDS = (
    Kind("linear, all tests of coefficients, terms and means", "lmerTest, pbkrtest, emmeans", linear, TESTS),
    Kind("correlated residuals, SDs that differ", "nlme", residual),
    Kind("curves", "mgcv, gamm4", curve, ("estimate", "se", "curve", "SE of the curve")),
    Kind("generalised, twelve families and links", "glmmTMB", generalised),
)


def ours(task: Task) -> dict[str, Any]:
    """What glmmlib says, under the names of R's answers."""
    linear_model = "family" not in task.options
    reml = {"reml": task.r.get("reml", True)} if linear_model else {}
    fit = (gl.lmer if linear_model else gl.glmer)(task.formula, task.rows, **task.options, **reml)
    found: dict[str, Any] = {"criterion": fit.deviance, "singular": fit.is_singular}
    found |= {"estimate": fit.params.to_numpy(), "se": fit.bse.to_numpy()}
    if task.tested:
        found |= tests_of(fit, task.tested)
    if task.r["what"] == "curve":
        places = pd.DataFrame({"x": np.quantile(task.rows.x, [0.02, 0.3, 0.6, 0.98]), "z": 0.3})
        places = places.assign(f="f01", g=task.rows.g.iloc[0])
        band = fit.predict(places, re_form="~0", interval="confidence")
        half = (band["upper"] - band["lower"]).to_numpy() / 2
        found |= {"curve": band["estimate"].to_numpy(), "SE of the curve": half / 1.959963984540054}
        found |= {"estimate": fit.params[["z"]].to_numpy(), "se": fit.bse[["z"]].to_numpy()}
    return found


def tests_of(fit: Any, factor: str) -> dict[str, Any]:
    """Coefficients, terms and means, by both approximations of the degrees of freedom."""
    kr = gl.coef_tests(fit, ddf="kenward-roger")
    terms = [gl.anova(fit, ddf=ddf).table["F"] for ddf in ("satterthwaite", "kenward-roger")]
    means = gl.means(fit, factor, ddf="kenward-roger")
    pairs = means.differences(adjust="tukey").table
    return {
        "df": fit.df.to_numpy(),
        "KR se": kr["se"].to_numpy(),
        "KR df": kr["df"].to_numpy(),
        "F": terms[0].to_dict(),
        "KR F": terms[1].to_dict(),
        "means": means.table["mean"].to_numpy(),
        "means' df": means.table["df"].to_numpy(),
        "p of pairs (Tukey)": pairs["p"].to_numpy(),
    }


def answers(tasks: list[Task]) -> list[dict[str, Any]]:
    """What R says of all tasks, in one process."""
    with tempfile.TemporaryDirectory() as folder:
        for k, task in enumerate(tasks):
            task.rows.to_csv(Path(folder, f"{k}.csv"), index=False)
        Path(folder, "asked.json").write_text(json.dumps([task.r for task in tasks]), encoding="utf-8")
        subprocess.run(["Rscript", str(IN_R), folder], check=True)
        return json.loads(Path(folder, "answers.json").read_text(encoding="utf-8"))


def apart(mine: Any, theirs: Any, unit: Any = None) -> float:
    """The largest difference, in units of R's value or of its standard error."""
    if isinstance(mine, dict):
        mine, theirs = list(mine.values()), [theirs[name] for name in mine]
    mine, theirs = np.ravel(mine).astype(float), np.ravel(theirs).astype(float)
    return float(np.max(np.abs(mine - theirs) / np.abs(theirs if unit is None else np.ravel(unit))))


def compared(kind: Kind, tasks: list[Task], said: list[dict[str, Any]]) -> pd.DataFrame:
    """One line a model."""
    lines = []
    for task, theirs in zip(tasks, said, strict=True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mine = ours(task)
        except GlmmlibError as error:
            lines.append({"status": "refused", "message": str(error)})
            continue
        if "error" in theirs:
            lines.append({"status": "R failed", "message": theirs["error"]})
            continue
        gap = 0.0 if theirs["criterion"] is None else mine["criterion"] - theirs["criterion"]
        line = {"status": "equal", "gap": gap, "formula": task.formula}
        if abs(gap) > HIGHER:
            line["status"] = "higher" if gap > 0 else "lower"
        elif not mine["singular"]:
            line |= {
                n: apart(mine[n], theirs[n], theirs.get(UNITS.get(n))) for n in kind.compared if n in theirs
            }
        lines.append(line)
    return pd.DataFrame(lines)


def table(found: dict[Kind, pd.DataFrame]) -> str:
    """Markdown: how often glmmlib's criterion is R's, and the largest differences where it is."""
    rows = [
        "| models | R | fits | equal | glmmlib lower | glmmlib higher | R failed | refused |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, lines in found.items():
        counts = lines["status"].value_counts()
        cells = [counts.get(status, 0) for status in ("equal", "lower", "higher", "R failed", "refused")]
        rows.append("| " + " | ".join(map(str, [kind.name, kind.judge, len(lines), *cells])) + " |")
    rows += [
        "",
        "| compared where both are equal and no variance is zero | median | largest |",
        "|---|---|---|",
    ]
    for kind, lines in found.items():
        for name in kind.compared:
            values = lines[name].dropna()
            rows.append(f"| {kind.judge}: {name} | {values.median():.0e} | {values.max():.0e} |")
    return "\n".join(rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=40)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--rows", help="a csv file with a line for each model")
    given = options.parse_args()
    found = {}
    for number, kind in enumerate(KINDS):
        seeds = range(given.first, given.first + given.count)
        tasks = [kind.draw(np.random.default_rng([31, number, k]), k) for k in seeds]
        found[kind] = compared(kind, tasks, answers(tasks))
    if given.rows:
        pd.concat([lines.assign(kind=kind.name) for kind, lines in found.items()]).to_csv(given.rows)
    print(table(found))


if __name__ == "__main__":
    main()
