"""Objects of a fit whose rows were read once and not kept: who asks for the rows gets a sentence."""

from __future__ import annotations

from typing import Any, ClassVar

from glmmlib.errors import ModelError

NOT_KEPT = (
    "the fit read its rows in batches and keeps none of them, so what needs them all is not there: "
    "fit.predict(batch) gives the fitted values of a batch, the response less these its residuals; with rows "
    "that fit into memory, pass lmer a DataFrame"
)


class WithoutRows:
    """Mixed into a class some of whose attributes are arrays with an entry for each row."""

    _rows: ClassVar[frozenset[str]] = frozenset()

    def __getattribute__(self, name: str) -> Any:
        if name in type(self)._rows:
            raise ModelError(NOT_KEPT)
        return super().__getattribute__(name)
