"""How long the dense matrix of crossed factors takes: said before a long fit, and counted while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from glmmlib.linalg.crossing import Structure
from glmmlib.linalg.resources import COPIES

FLOPS = 1.5e10  # per second: what one core does of dense algebra, at least
FACTORISATIONS = 8  # of an exact linear fit, each with the inverse
IN_PIRLS = 80  # of a generalised one
LONG = 60.0  # seconds


def dense_seconds(structure: Structure, p: int, factorisations: int) -> float:
    """Return about how long factorisations of the dense matrix take, each with the inverse.

    Parameters
    ----------
    structure : Structure
    p : int
        Columns of X.
    factorisations : int
    """
    if not structure.m:
        return 0.0
    dense = float(structure.m + p) ** 3
    if structure.n_chain:  # what eliminating the levels of the largest factor adds to the dense matrix
        cells = float(structure.cells[0, 1].size)
        dense += 4.0 * cells * cells / structure.factors[0].n_levels
    return factorisations * dense / FLOPS


def dense_price(structure: Structure, p: int, factorisations: int) -> str:
    """Return what the dense matrix takes, in words."""
    memory = COPIES * 8 * float(structure.m + p) ** 2 / 1e9
    return f"{max(1.0, dense_seconds(structure, p, factorisations)):,.0f} s and {memory:,.1f} GB of memory"


def announced(probes: int, seed: int, in_theta: float, in_beta: float, price: str, more: str = "") -> str:
    """Say in words that a fit was solved iteratively, with its Monte Carlo errors in standard errors."""
    return (
        f"solved by conjugate gradients with {probes} random probes (seed {seed}): Monte Carlo errors of up "
        f"to {in_theta:.1g} standard errors for the random effects' parameters and {in_beta:.0e} for the "
        f"fixed effects;{more} exact=True would take about {price}"
    )


@contextmanager
def patience(structure: Structure, p: int, factorisations: int) -> Iterator[None]:
    """While a fit lasts that will take more than a minute, say so, and count its factorisations."""
    if dense_seconds(structure, p, factorisations) < LONG:
        yield
        return
    from tqdm import tqdm

    price = dense_price(structure, p, factorisations)
    what = f"{structure.m:,} columns of crossed factors, about {price}; factorisations"
    with tqdm(desc=what, total=factorisations, leave=False) as bar:
        structure.on_factorisation = bar.update
        try:
            yield
        finally:
            structure.on_factorisation = None
