"""``load_fit``: a fit from the file that ``fit.save`` wrote."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glmmlib._version import __version__
from glmmlib.display.arguments import check_file, checked
from glmmlib.errors import DataError, ModelError
from glmmlib.models.generalized_fit import GeneralizedMixedModelFit
from glmmlib.models.linear_fit import LinearMixedModelFit
from glmmlib.models.results import MixedModelFit
from glmmlib.models.saved import restored
from glmmlib.storage.archive import opened

KINDS: dict[str, type[MixedModelFit]] = {
    kind.kind: kind for kind in (LinearMixedModelFit, GeneralizedMixedModelFit)
}


@checked
def load_fit(
    path: str | os.PathLike, functions: Mapping[str, Callable[..., Any]] | None = None
) -> MixedModelFit:
    """Read a fit from the file that its ``save`` wrote.

    Formula and rows are read again, and the estimates put in their place without a search. With the versions
    of glmmlib, NumPy and SciPy that wrote the file, the fit says the same to the last bit.

    Parameters
    ----------
    path : str or path
    functions : dict of str to callable, optional
        Your own functions that the formula calls: a file holds none.

    Returns
    -------
    MixedModelFit

    Raises
    ------
    DataError
        For a file that is none of a fit, is damaged, or was written in a newer format.
    ModelError
        Without the functions that the formula calls, and where this version reads the formula otherwise than
        the one that wrote the file.

    See Also
    --------
    glmmlib.models.results.MixedModelFit.save

    Examples
    --------
    >>> import os, tempfile
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> path = os.path.join(tempfile.mkdtemp(), "sleep.fit")
    >>> fit.save(path)
    >>> gl.load_fit(path).predict({"Days": [10], "Subject": ["308"]}).round(1).tolist()
    [450.3]
    """
    check_file("path", path)
    file = opened(Path(path).read_bytes(), path)
    found, what = file["content"], f"{os.fspath(path)!r}"
    try:
        if found["kind"] not in KINDS:
            raise DataError(f"{what} holds a {found['kind']}, which glmmlib {__version__} does not know")
        fit = restored(KINDS[found["kind"]], found, functions)
    except (KeyError, TypeError) as error:
        raise DataError(f"{what} is damaged: its content is not that of a fit ({error})") from error
    if fit is None:
        raise ModelError(
            f"{what} was written by glmmlib {file['glmmlib']}, and glmmlib {__version__} reads its formula "
            f"{found['formula']!r} otherwise: fit the model again, to the data that stand in the file"
        )
    return fit
