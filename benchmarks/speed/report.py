"""Run problems through engines and print one line each: seconds, ratio to glmmlib, log-likelihood against
glmmlib's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from peers import PYTHON_ENGINES, R_ENGINES, Result, import_seconds, measure, stored
from problems import Problem

ENGINES = ("glmmlib", *R_ENGINES, *PYTHON_ENGINES)


def lines(problem: Problem, results: Sequence[Result]) -> list[str]:
    """Text lines of one problem.

    A GLM's log-likelihood (statsmodels) is another model's and is not compared. lme-python's lacks the
    constants of Poisson, and its Laplace approximation is another one.
    """
    ours = next((r for r in results if r.engine == "glmmlib"), Result("glmmlib", note="not run"))
    out = [f"{problem.name}: {problem.formula}  (goal {problem.goal:g} s)"]
    for r in results:
        if r.median is None:
            out.append(f"  {r.engine:12s} {r.note}")
            continue
        label = "GLM floor" if _floor(problem, r) else r.engine
        ratio = f"{r.median / ours.median:8.2f} x" if ours.median else "         -"
        short = "" if _floor(problem, r) else f"  log-likelihood {r.loglik:.4f}"
        if short and ours.loglik is not None and r is not ours:
            short += f" ({r.loglik - ours.loglik:+.1e})"
        memory = (
            f"  peak {r.memory / r.frame:.1f} x the data frame ({r.memory / 2**20:.0f} MB)"
            if problem.watch_memory and r.memory
            else ""
        )
        verdict = ("  goal met" if r.median <= problem.goal else "  GOAL MISSED") if r is ours else ""
        out.append(f"  {label:12s} {r.median:9.4f} s {ratio}{short}{memory}{verdict}  {r.version}")
    return out


def _floor(problem: Problem, result: Result) -> bool:
    return result.engine == "statsmodels" and problem.family != "gaussian"


def main(problems: Sequence[Problem], description: str) -> None:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--engines", default=",".join(ENGINES), help="comma-separated, from: %(default)s")
    parser.add_argument("--only", default="", help="problems whose name contains this text")
    parser.add_argument("--runs", type=int, default=5, help="runs per engine; the median counts (default 5)")
    parser.add_argument(
        "--limit", type=float, default=180.0, help="stop an engine after this many seconds (default 180)"
    )
    options = parser.parse_args()
    engines = options.engines.split(",")
    unknown = set(engines) - set(ENGINES)
    if unknown:
        parser.error(f"unknown engine {', '.join(sorted(unknown))}; known: {', '.join(ENGINES)}")
    if "glmmlib" in engines:
        seconds = import_seconds()
        print("import glmmlib:", "fails" if seconds is None else f"{seconds:.2f} s (goal 1 s)", flush=True)
    for problem in problems:
        if options.only not in problem.name:
            continue
        with stored(problem) as files:
            results = [measure(engine, problem, files, options.runs, options.limit) for engine in engines]
        print("\n".join(lines(problem, results)), flush=True)
