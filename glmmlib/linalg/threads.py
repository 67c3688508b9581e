"""One BLAS thread, and memory that stays, while a model is fitted."""

from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController


@cache
def _controller():
    return ThreadpoolController()


def one_blas_thread():
    """Return a context manager that limits BLAS to one thread.

    The matrices of one step are small: a second thread gains little, and two that wait for each other on a
    busy machine made one fit many times slower.
    """
    return _controller().limit(limits=1, user_api="blas")


@cache
def keep_memory():
    """Make the C library keep freed memory for the next array of the same size, for the life of the process.

    A fit allocates and frees arrays as long as the data thousands of times. glibc hands such blocks back to
    the system at once, until a larger block has been freed once; then it raises that threshold
    (``mallopt(3)``, M_MMAP_THRESHOLD).
    """
    np.empty(31 << 20, dtype=np.uint8)
