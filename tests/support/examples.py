"""How many examples a property is tried on: few and the same in each run; many and new with `make long`."""

from __future__ import annotations

import hypothesis


def register_profiles() -> None:
    """`fixed` draws the same examples in each run (the test's source is the seed); `long` draws anew."""
    common = {"deadline": None, "database": None, "print_blob": True}
    hypothesis.settings.register_profile("fixed", derandomize=True, max_examples=100, **common)
    hypothesis.settings.register_profile("long", max_examples=2_000, **common)
    hypothesis.settings.load_profile("fixed")


def examples(count: int) -> hypothesis.settings:
    """`count` examples in a run of `make test`, and as many more in a longer profile as that profile has."""
    return hypothesis.settings(max_examples=count * hypothesis.settings().max_examples // 100)
