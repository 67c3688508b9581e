"""How much memory a crossed model will need, asked before the work begins."""

import os

from glmmlib.errors import ModelError

COPIES = 4  # the dense matrix, its Cholesky factor, its inverse, and one on the way


def free_memory():
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


def check_memory(chain, crossed, p, available=None):
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
    m = sum(f.n_columns for f in crossed) + p
    needed = COPIES * 8 * m * m
    available = free_memory() if available is None else available
    if not crossed or available is None or needed < available:
        return
    names = " and ".join(f"{f.name!r} ({f.n_levels:,} levels)" for f in (chain[0], *crossed))
    raise ModelError(
        f"{names} are crossed, and all but the largest go into one dense matrix of {m:,} columns: that "
        "needs about"
        f" {needed / 1e9:,.0f} GB of memory, and {available / 1e9:,.0f} GB are free; leave a factor out, "
        "merge rare levels, or"
        " fit a sample of the rows"
    )
