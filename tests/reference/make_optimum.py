"""Judge the random designs that tests/models/test_optimum.py holds the fits to, and freeze the verdicts.

    python tests/reference/make_optimum.py                  judge every seed of optimum.csv anew (ten minutes)
    python tests/reference/make_optimum.py linear 27 195    add seeds

One line a model: stream and seed, the sum of the response (so that a changed stream is noticed), and the
lowest value that the judge (tests/support/judge.py) has found from all its starts.
"""

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import streams  # noqa: E402
from support.judge import judge  # noqa: E402

FILE = HERE / "optimum.csv"


def line(stream, seed):
    case = getattr(streams, stream)(int(seed))
    verdict = judge(case.model, case.seed, effort=2.0)
    value = float("-inf") if verdict.unbounded else verdict.value
    return {"stream": stream, "seed": int(seed), "total": case.model.y.sum(), "value": value}


def main():
    known = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=["stream", "seed", "total", "value"])
    wanted = [(sys.argv[1], s) for s in sys.argv[2:]] or list(
        zip(known["stream"], known["seed"], strict=True)
    )
    made = pd.DataFrame([line(*one) for one in wanted])
    both = pd.concat([made, known]).drop_duplicates(["stream", "seed"]).sort_values(["stream", "seed"])
    both.to_csv(FILE, index=False, float_format="%.9g")


if __name__ == "__main__":
    main()
