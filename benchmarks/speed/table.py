"""Measure all problems in one run and write the table of benchmarks/README.md: `make bench`.

    python benchmarks/speed/table.py [--runs 5] [--limit 180] [--only sleepstudy] [--engines glmmlib,lme4]

A run of part of the problems writes nothing; it prints its table.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from peers import Result, measure, stored
from problems import GLMM, LMM, Problem
from report import ENGINES

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- table: written by make bench -->", "<!-- end of the table -->"


def seconds(value: float | None) -> str:
    """Three digits, in milliseconds below a second."""
    if value is None:
        return ""
    return f"{1000 * value:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def cell(result: Result, ours: Result) -> str:
    """The median time and, for the others, its ratio to glmmlib's; or why there is none."""
    if result.median is None:
        return result.note
    if not ours.median or result is ours:
        return seconds(result.median)
    ratio = result.median / ours.median
    shown = f"{ratio:.2g}" if ratio < 99.5 else f"{ratio:.0f}"
    return f"{seconds(result.median)} ({shown} x)"


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*: (.+)", info.read_text(encoding="utf-8"))):
        cpu = found[1]
    load = f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}{load}"


def revision() -> str:
    command = ["git", "-C", str(README.parent), "log", "-1", "--format=%h"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return f", revision {found}" if found else ""


def table(measured: dict[str, Sequence[Result]], engines: Sequence[str]) -> str:
    """The Markdown of a run: one row a problem, one column an engine."""
    versions = {r.engine: r.version for results in measured.values() for r in results if r.version}
    shown = [engine for engine in engines if engine in versions]
    absent = [engine for engine in engines if engine not in versions]
    lines = [
        f"Measured on {date.today().isoformat()}{revision()}: {machine()}. Medians; in brackets the time as "
        "a multiple of glmmlib's.",
        "",
        "| Problem | " + " | ".join(f"{engine} {versions[engine]}" for engine in shown) + " |",
        "|---|" + "---|" * len(shown),
    ]
    for name, results in measured.items():
        found = {result.engine: result for result in results}
        lines.append(f"| {name} | " + " | ".join(cell(found[e], found["glmmlib"]) for e in shown) + " |")
    if absent:
        lines += ["", f"Not installed in this run: {', '.join(absent)}."]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put a table in the place of the last one."""
    old = README.read_text(encoding="utf-8")
    before, rest = old.split(START)
    README.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--only", default="", help="problems whose name contains this text")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=180.0)
    options = parser.parse_args()
    engines, measured = options.engines.split(","), {}
    for problem in (*LMM, *GLMM):
        if options.only in problem.name:
            measured[label(problem)] = run(problem, engines, options)
            print(label(problem), flush=True)
    text = table(measured, engines)
    print(text)
    if not options.only:
        write(text)


def label(problem: Problem) -> str:
    return problem.name if problem.family == "gaussian" else f"{problem.name} ({problem.family})"


def run(problem: Problem, engines: Sequence[str], options: argparse.Namespace) -> list[Result]:
    with stored(problem) as files:
        return [measure(engine, problem, files, options.runs, options.limit) for engine in engines]


if __name__ == "__main__":
    main()
