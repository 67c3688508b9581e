"""A few trials of benchmarks/accuracy/fuzz.py: each ends in an answer or in one sentence, in time."""

import importlib
import inspect
import os
import sys
import warnings
from itertools import islice
from pathlib import Path

import pytest

import glmmlib as gl
from glmmlib.errors import GlmmlibWarning

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "accuracy"
EVERY = {"models": 1, "data": 101, "formulas": 197, "arguments": 701}  # so many trials apart
MOST = {"models": 14, "data": 20, "formulas": 45, "arguments": 20}


# Of fits, asked by the package itself
INNER = {"at", "with_design", "with_solution", "one_auxiliary", "auxiliary_in", "auxiliary_cov_params"}
INNER |= {"modelled_auxiliary", "named_auxiliary", "estimates"}


def test_every_public_function_and_method_is_called(monkeypatch):
    monkeypatch.syspath_prepend(str(PROGRAM))
    program = importlib.import_module("fuzz_arguments")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fits = program.Fits()
        calls = [*program.fit_calls(fits), *program.other_calls(fits)]
    called = {call.function.__qualname__ for call in calls}
    called |= {call.name.partition("[")[0].split(".")[-1] for call in calls}
    public = {f"{name}" for name in gl.__all__ if callable(getattr(gl, name))}
    public |= set(gl.plots.__all__) | set(gl.sliders.__all__)
    assert public - called == set()
    owners = {type(call.function.__self__) for call in calls if hasattr(call.function, "__self__")}
    methods = {
        method.__qualname__
        for owner in owners
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_") and name not in INNER
    }
    assert len(owners) >= 13
    assert methods - called == set()


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
