"""Random models, odd data, odd formulas, odd arguments: does everything end in a right answer or in a sentence?

    python benchmarks/accuracy/fuzz.py                     everything (about half an hour), and the table fuzz.md
    python benchmarks/accuracy/fuzz.py --quick             every tenth trial or so
    python benchmarks/accuracy/fuzz.py formulas data       some parts; --failures out.csv keeps what went wrong

Everything is seeded. Models are put to laws (``fuzz_laws``); the other parts must end in an answer or in one of glmmlib's
errors, in bounded time, and nonsense must not be accepted.
"""

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

import pandas as pd
from fuzz_outcomes import BAD

PARTS = {
    "models": "Random models, each put to the laws",
    "data": "Odd columns, containers and names",
    "formulas": "Odd formulas",
    "arguments": "Odd arguments of every public function",
}
PAGE = """# Odd models, data, formulas and arguments

A program tries what people do: random models are put to laws (another order of rows, other labels, trials in pieces, other
units, refitted, updated, pickled, predicted), and odd columns, formulas and arguments must end in an answer or in one sentence, in
bounded time; nonsense must not be taken. One trial is one line of this count.

{table}

The program is `benchmarks/accuracy/fuzz.py`.
"""
HEADINGS = {
    "answered": "answered",
    "refused": "refused in words",
    "broken": "law broken",
    "foreign": "foreign exception",
    "late": "no answer in time",
    "swallowed": "nonsense accepted",
}


def outcomes(parts, quick):
    """One row for each trial, in a directory where a formula that writes files does no harm."""
    found = []
    here, stdin = Path.cwd(), sys.stdin
    with tempfile.TemporaryDirectory() as folder, open(os.devnull) as nothing:
        os.chdir(folder)
        sys.stdin = nothing
        try:
            for part in parts:
                tasks = importlib.import_module(f"fuzz_{part}").tasks(quick)
                found += filter(None, (task.attempt() for task in tasks))
        finally:
            os.chdir(here)
            sys.stdin = stdin
    return pd.DataFrame([vars(outcome) for outcome in found])


def table(found):
    """Counts by part and ending, as Markdown."""
    counts = (
        found.groupby(["part", "ending"])
        .size()
        .unstack(fill_value=0)
        .reindex(columns=list(HEADINGS), fill_value=0)
    )
    lines = ["| part | trials | " + " | ".join(HEADINGS.values()) + " |", "|---" * (2 + len(HEADINGS)) + "|"]
    for part, title in PARTS.items():
        if part in counts.index:
            row = counts.loc[part]
            lines.append(f"| {title} | {row.sum()} | " + " | ".join(str(k) for k in row) + " |")
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them by default")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--failures", help="a csv file for what went wrong")
    given = options.parse_args()
    found = outcomes(given.parts or PARTS, given.quick)
    bad = found[found["ending"].isin(BAD)]
    if given.failures:
        bad.to_csv(given.failures, index=False)
    text = table(found)
    print(text)
    for row in bad.head(40).itertuples():
        print(f"{row.ending}: {row.what} -> {row.message} ({row.place})")
    if not given.parts and not given.quick:
        Path(__file__).with_suffix(".md").write_text(PAGE.format(table=text))
    return bool(len(bad))


if __name__ == "__main__":
    sys.exit(main())
