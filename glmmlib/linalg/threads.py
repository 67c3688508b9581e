"""One BLAS thread, and memory that stays, while a model is fitted."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import numpy as np
from threadpoolctl import ThreadpoolController


class _OneThread:
    """The limit on BLAS, shared by all fits that run at once.

    BLAS has one number of threads for the whole process. Each fit that saved and restored it by itself would,
    where fits overlap, restore another's limit and leave it behind: so the first one in sets it, the last one out
    puts back what was there.
    """

    def __init__(self):
        self._lock, self._users, self._limit = Lock(), 0, None

    def enter(self):
        with self._lock:
            if self._users == 0:
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._users += 1

    def leave(self):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()
                self._limit = None


@cache
def _controller():
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
def keep_memory():
    """Make the C library keep freed memory for the next array of the same size, for the life of the process.

    A fit allocates and frees arrays as long as the data thousands of times. glibc hands such blocks back to
    the system at once, until a larger block has been freed once; then it raises that threshold
    (``mallopt(3)``, M_MMAP_THRESHOLD).
    """
    np.empty(31 << 20, dtype=np.uint8)
