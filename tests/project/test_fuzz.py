"""A few trials of benchmarks/accuracy/fuzz.py: each ends in an answer or in one sentence, in time."""

import importlib
import os
import sys
from itertools import islice
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "accuracy"
EVERY = {"models": 1, "data": 101, "formulas": 197}  # so many trials apart
MOST = {"models": 14, "data": 20, "formulas": 45}


@pytest.mark.parametrize("part", EVERY)
def test_a_sample_of_the_trials_ends_well(part, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(PROGRAM))
    monkeypatch.chdir(tmp_path)  # where a formula that writes files does no harm
    outcomes = importlib.import_module("fuzz_outcomes")
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        tasks = islice(importlib.import_module(f"fuzz_{part}").tasks(), 0, None, EVERY[part])
        found = [outcome for outcome in (task.attempt() for task in islice(tasks, MOST[part])) if outcome]
    assert len(found) >= 10
    assert [o for o in found if o.ending in outcomes.BAD] == []
    assert {"answered", "refused"} >= {o.ending for o in found}
