"""A crossed model that would need more memory than there is is refused before the work begins."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError
from glmmlib.linalg import resources


def factor(name, levels, q=1):
    return SimpleNamespace(name=name, n_levels=levels, n_columns=levels * q)


def test_the_sentence_names_the_factors_and_both_amounts():
    with pytest.raises(ModelError) as error:
        resources.check_memory(
            [factor("pupil", 100_000)], [factor("school", 90_000)], 2, available=16_000_000_000
        )
    assert "'pupil' (100,000 levels) and 'school' (90,000 levels) are crossed" in str(error.value)
    assert "90,002 columns: that needs about 259 GB of memory, and 16 GB are free" in str(error.value)


@pytest.mark.parametrize(("chain", "crossed"), [(100_000, 1_000), (10**7, None)])
def test_what_fits_is_let_through(chain, crossed):
    resources.check_memory(
        [factor("a", chain)], [factor("b", crossed)] if crossed else [], 2, available=10**9
    )


def test_lmer_refuses_before_it_allocates(monkeypatch):
    monkeypatch.setattr(resources, "free_memory", lambda: 10_000)
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"y": rng.normal(size=400), "a": rng.integers(0, 40, 400), "b": rng.integers(0, 30, 400)}
    )
    with pytest.raises(ModelError, match="are crossed"):
        gl.lmer("y ~ 1 + (1 | a) + (1 | b)", data)
    assert gl.lmer("y ~ 1 + (1 | a)", data).nobs == 400


def test_the_system_is_asked():
    free = resources.free_memory()
    assert free is None or free > 10_000_000
