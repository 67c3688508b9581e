"""Random models, odd data, odd formulas, odd arguments: does everything end in a right answer or in a sentence?

    python benchmarks/accuracy/fuzz.py                     everything (about half an hour), and the table fuzz.md
    python benchmarks/accuracy/fuzz.py --quick             every tenth trial or so
    python benchmarks/accuracy/fuzz.py formulas data       some parts; --failures out.csv keeps what went wrong
    python benchmarks/accuracy/fuzz.py --kept folder --seconds 300
                                                           in pieces: each goes on where the last one stopped

Everything is seeded. Models are put to laws (``fuzz_laws``); the other parts must end in an answer or in one of glmmlib's
errors, in bounded time, and nonsense must not be accepted.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from fuzz_outcomes import BAD

END = -1  # the number after the last trial of a part
PARTS = {
    "models": "Random models, each put to the laws",
    "data": "Odd columns, containers and names",
    "formulas": "Odd formulas",
    "arguments": "Odd arguments of every public function",
    "strange": "Strange values in every argument of every function and method",
}
PAGE = """# Odd models, data, formulas and arguments

Made by `python benchmarks/accuracy/fuzz.py`, which tries what people do, {trials:,} times. Random models
(model k is drawn by `numpy.random.default_rng([7, k])`) are put to laws: another order of rows, other labels, trials in
pieces, other units and origins, weights as repeated rows, refitted, updated, pickled, predicted, a larger model. Odd columns,
containers, names, formulas and arguments, which are lists and not drawn, must end in an answer or in one sentence, in bounded time, and nonsense
must not be taken. Each trial is one of this count.

{table}
"""
HEADINGS = {
    "answered": "answered",
    "refused": "refused in words",
    "broken": "law broken",
    "foreign": "foreign exception",
    "late": "no answer in time",
    "swallowed": "nonsense accepted",
}


def outcomes(part, quick=False, first=0, seconds=np.inf):
    """Yield the number of each trial of a part and its outcome (or None), from the first one on, so long.

    In a directory where a formula that writes files does no harm.
    """
    here, stdin, end = Path.cwd(), sys.stdin, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, open(os.devnull) as nothing:
        os.chdir(folder)
        sys.stdin = nothing
        try:
            tasks = importlib.import_module(f"fuzz_{part}").tasks(quick)
            for number, task in enumerate(tasks):
                if number >= first:
                    yield number, task.attempt()
                    if time.monotonic() > end:
                        return
            yield END, None
        finally:
            os.chdir(here)
            sys.stdin = stdin


def pieces(part, folder, seconds):
    """Go on with a part, and return all that a folder now keeps of it."""
    file = Path(folder).resolve() / f"{part}.jsonl"
    kept = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    first = kept[-1]["number"] + 1 if kept else 0
    if not kept or kept[-1]["number"] != END:
        with open(file, "a") as lines:
            for number, outcome in outcomes(part, first=first, seconds=seconds):
                kept.append({"number": number} | (vars(outcome) if outcome else {"part": part}))
                lines.write(json.dumps(kept[-1]) + "\n")
                lines.flush()
    return kept


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
    options.add_argument("--kept", help="a folder that keeps the outcomes between pieces")
    options.add_argument("--seconds", type=float, default=np.inf, help="how long a piece may take, a part")
    given = options.parse_args()
    found = []
    for part in given.parts or PARTS:
        if given.kept:
            found += pieces(part, given.kept, given.seconds)
        else:
            found += [
                {"number": k} | (vars(o) if o else {"part": part}) for k, o in outcomes(part, given.quick)
            ]
    found = pd.DataFrame(found)
    whole = set(found.loc[found["number"] == END, "part"])
    found = found.dropna(subset="ending")
    bad = found[found["ending"].isin(BAD)]
    if given.failures:
        bad.to_csv(given.failures, index=False)
    text = table(found)
    print(text)
    for row in bad.head(40).itertuples():
        print(f"{row.ending}: {row.what} -> {row.message} ({row.place})")
    if not given.parts and not given.quick:
        stopped = [title.lower() for part, title in PARTS.items() if part not in whole]
        note = f"\nStopped before the end of the list: {'; '.join(stopped)}.\n" if stopped else ""
        Path(__file__).with_suffix(".md").write_text(PAGE.format(table=text, trials=len(found)) + note)
    return bool(len(bad))


if __name__ == "__main__":
    sys.exit(main())
