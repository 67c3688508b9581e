"""Work that can be shared out: through joblib with no backend named, and a progress bar for whoever watches.

The user's ``joblib.parallel_config`` says where it runs: ``parallel_config("loky", n_jobs=4)`` on the
processes of this machine, ``parallel_config("dask")`` or Ray's on a cluster; without one, in this process.
Everything random is drawn, or its seed spawned, before tasks are handed out, so results are the same wherever
they run.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from glmmlib.likelihood.lmm_batch import LinearBatch
from glmmlib.types import FloatArray

PATIENCE = 2.0  # seconds before a progress bar shows
TASKS = 64  # among how many tasks many small ones are divided


def in_parallel(
    function: Callable[..., Any], tasks: Sequence[tuple[Any | int | np.random.Generator, ...]], what: str
) -> list[dict[str, FloatArray] | int]:
    """Return ``[function(*task) for task in tasks]``, computed wherever joblib is told to.

    Parameters
    ----------
    function : callable
        Defined at the top level of a module, so that it pickles.
    tasks : sequence of tuple
    what : str
        A word for the progress bar.

    Examples
    --------
    >>> import math, joblib
    >>> with joblib.parallel_config("threading", n_jobs=2):
    ...     in_parallel(math.gcd, [(12, 18), (35, 21)], "divisors")
    [6, 7]
    """
    from joblib import Parallel, delayed

    results = Parallel(return_as="generator")(delayed(function)(*task) for task in tasks)
    return list(progress(results, len(tasks), what))


def progress(
    steps: Iterator[Any] | Sequence[LinearBatch | slice], total: int, what: str
) -> Iterator[Any] | Sequence[Any]:
    """Return the same steps, with a bar on a terminal once they take more than two seconds; elsewhere in
    silence.
    """
    if total < 2 or not sys.stderr.isatty():
        return steps
    from tqdm import tqdm

    return tqdm(steps, desc=what, total=total, delay=PATIENCE, leave=False)


def pieces(n: int, size: int | None = None) -> list[slice]:
    """Return slices that cut ``range(n)`` into pieces of one size (about 64 of them by default)."""
    size = max(1, -(-n // TASKS)) if size is None else max(1, size)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
