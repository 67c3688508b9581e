"""What a fit asks of the machine: one BLAS thread, memory that stays, and whether there is enough of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

from glmmlib.errors import ModelError

COPIES = 4  # the dense matrix, its Cholesky factor, its inverse, and one on the way


class _OneThread:
    """The limit on BLAS, shared by all fits that run at once.

    BLAS has one number of threads for the whole process. Each fit that saved and restored it by itself would,
    where fits overlap, restore another's limit and leave it behind: so the first one in sets it, the last one
    out puts back what was there.
    """

    def __init__(self):
        self._lock, self._users, self._limit = Lock(), 0, None

    def enter(self):
        with self._lock:
            if self._users == 0:
                _let_this_thread_set()
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._users += 1

    def leave(self):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _let_this_thread_set()
                self._limit.restore_original_limits()
                self._limit = None


def _let_this_thread_set() -> None:
    """Since its version 3.8 threadpoolctl heeds no thread but the first that set the number for OpenBLAS, and
    passes over the others in silence; here the last one out is often another.
    """
    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@cache
def _controller() -> Any:
    return ThreadpoolController()


_one_thread = _OneThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread for a while; afterwards it has as many as before.

    The matrices of one step are small: a second thread gains little, and two that wait for each other on a
    busy machine made one fit many times slower.
    """
    _one_thread.enter()
    try:
        yield
    finally:
        _one_thread.leave()


@cache
def keep_memory() -> None:
    """Make the C library keep freed memory for the next array of the same size, for the life of the process.

    A fit allocates and frees arrays as long as the data thousands of times. glibc hands such blocks back to
    the system at once, until a larger block has been freed once; then it raises that threshold
    (``mallopt(3)``, M_MMAP_THRESHOLD).
    """
    np.empty(31 << 20, dtype=np.uint8)


def free_memory() -> int | None:
    """Return the bytes of memory that a new array can have, or None where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(chain: Sequence[Any], crossed: Sequence[Any], p: int, available: int | None = None) -> None:
    """Refuse a crossed model whose dense matrix would not fit.

    Parameters
    ----------
    chain, crossed : sequences of Factor
        The factors eliminated block by block, and those that end up in the dense matrix.
    p : int
        Columns of X.
    available : int, optional
        Bytes of memory; asked of the system otherwise.

    Raises
    ------
    ModelError
    """
    if not crossed:
        return
    m = sum(f.n_columns for f in crossed) + p
    needed = COPIES * 8 * m * m
    available = free_memory() if available is None else available
    if available is None or needed < available:
        return
    names = " and ".join(f"{f.name!r} ({f.n_levels:,} levels)" for f in (chain[0], *crossed))
    raise ModelError(
        f"{names} are crossed, and all but the largest go into one dense matrix of {m:,} columns: that "
        "needs about"
        f" {needed / 1e9:,.0f} GB of memory, and {available / 1e9:,.0f} GB are free; leave a factor out, "
        "merge rare levels, or"
        " fit a sample of the rows"
    )
