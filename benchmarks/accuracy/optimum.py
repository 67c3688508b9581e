"""Is the optimum the optimum?  Every fit of a random stream against an independent judge that searches from many starts.

    python benchmarks/accuracy/optimum.py                    3,000 linear and 1,500 generalised models (about an hour)
    python benchmarks/accuracy/optimum.py --linear 200 --generalised 60 --rows out.csv

Prints a table by kind of design (kept in ``optimum.md``); ``--rows`` keeps one line a model, ``--verdicts`` the judge's words, which depend on the
seed alone: a second run then needs the time of the fits only.  A fit is *above* if its deviance exceeds the
judge's lowest by more than 1e-4; it is so *silently* if no warning says that the optimiser or the data failed (a
SingularFitWarning says the contrary: that the answer is valid).
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import glmmlib  # noqa: E402
from glmmlib.errors import GlmmlibError  # noqa: E402
from support import streams  # noqa: E402
from support.judge import Verdict, at_fit, judge  # noqa: E402

ABOVE = 1e-4
CRAWLING = 200  # evaluations of the objective
SPEAKING = {"ConvergenceWarning", "SeparationWarning"}


class Verdicts:
    """The judge's verdicts, kept in a file of one JSON object a line."""

    def __init__(self, path, effort):
        self.path, self.effort, self.known = path, effort, {}
        if path and Path(path).exists():
            for line in Path(path).read_text().splitlines():
                found = json.loads(line)
                self.known[found["seed"]] = Verdict(
                    found["value"], np.array(found["par"]), found["unbounded"]
                )

    def __call__(self, case):
        if case.seed not in self.known:
            verdict = self.known[case.seed] = judge(case.model, case.seed, self.effort)
            if self.path:
                words = {
                    "seed": case.seed,
                    "value": verdict.value,
                    "par": verdict.parameters.tolist(),
                    "unbounded": verdict.unbounded,
                }
                with open(self.path, "a") as file:
                    file.write(json.dumps(words) + "\n")
        return self.known[case.seed]


def examine(case, verdicts):
    """One line about a case: what the library did, and how far above the judge it ended."""
    line = {
        "kind": case.kind,
        "seed": case.seed,
        "family": "-".join(case.model.family or ("normal",)),
        "formula": case.formula,
    }
    begin = time.perf_counter()
    try:
        fit, caught = case.fit()
    except GlmmlibError as error:
        return line | {
            "status": "refused",
            "message": str(error)[:120],
            "seconds": time.perf_counter() - begin,
        }
    except Exception as error:  # a fault of its own
        return line | {"status": "foreign", "message": f"{type(error).__name__}: {error}"[:120]}
    line |= {
        "seconds": time.perf_counter() - begin,
        "evaluations": fit.convergence.n_evaluations,
        "warnings": "+".join(caught),
    }
    verdict = verdicts(case)
    excess = fit.deviance - verdict.value
    line |= {
        "deviance": fit.deviance,
        "judge": verdict.value,
        "excess": excess,
        "identity": fit.deviance - at_fit(case.model, fit),
    }
    line["theta"] = np.array2string(fit.theta.to_numpy(), precision=4, separator=",")
    if verdict.unbounded:
        return line | {"status": "unbounded"}
    status = "right" if excess <= ABOVE else ("warned" if SPEAKING & set(caught) else "silent")
    return line | {"status": status}


def stream(draw, first, count, verdicts, rows):
    lines = []
    for seed in range(first, first + count):
        lines.append(examine(draw(seed), verdicts))
        if rows and len(lines) % 20 == 0:
            pd.DataFrame(lines).to_csv(rows, index=False)
    frame = pd.DataFrame(lines)
    if rows:
        frame.to_csv(rows, index=False)
    return frame


def table(lines):
    """Counts by kind."""
    by = lines.groupby("kind", sort=False)
    counts = pd.DataFrame({"models": by.size()})
    for status in ("silent", "warned", "unbounded", "refused", "foreign"):
        counts[status] = by["status"].agg(lambda s, status=status: (s == status).sum())
    counts["crawling"] = by["evaluations"].agg(lambda e: (e > CRAWLING).sum())
    counts["largest excess"] = by["excess"].max().round(4)
    counts.loc["all"] = counts.sum()
    counts.loc["all", "largest excess"] = lines["excess"].max().round(4)
    whole = counts.columns.drop("largest excess")
    return counts.astype(dict.fromkeys(whole, int)).rename_axis("kind")


def markdown(counts):
    head = "| " + " | ".join([counts.index.name, *counts.columns]) + " |"
    cells = [[str(cell).replace("|", r"\|") for cell in row] for row in counts.astype(object).itertuples()]
    rows = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([head, "|---" * (len(counts.columns) + 1) + "|", *rows])


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--linear", type=int, default=3000)
    options.add_argument("--generalised", type=int, default=1500)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--effort", type=float, default=1.0)
    options.add_argument("--rows")
    options.add_argument("--verdicts", help="beginning of the names of two files")
    given = options.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(glmmlib.__file__).parent,
        capture_output=True,
        text=True,
    ).stdout.strip()
    print(f"Commit {commit}, seeds from {given.first}.")
    for name, draw, count in (
        ("linear", streams.linear, given.linear),
        ("generalised", streams.generalised, given.generalised),
    ):
        if count:
            rows = given.rows and str(Path(given.rows).with_suffix("")) + f"_{name}.csv"
            kept = Verdicts(given.verdicts and f"{given.verdicts}_{name}.jsonl", given.effort)
            lines = stream(draw, given.first, count, kept, rows)
            print(f"\n{count} {name} models\n\n{markdown(table(lines))}", flush=True)


if __name__ == "__main__":
    main()
