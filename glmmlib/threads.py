"""One BLAS thread while a model is fitted.

The matrices of one step are small: a second thread gains little, and two that wait for each other on a busy machine
made one fit many times slower.
"""

from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller():
    return ThreadpoolController()


def one_blas_thread():
    """Return a context manager that limits BLAS to one thread."""
    return _controller().limit(limits=1, user_api="blas")
