"""Every notebook is run anew before the pages are read, side by side; Sphinx would run one after another.

The results go into the cache in which myst-nb looks for them (`execute_notebooks: cache`). Whatever the cache
held before is not used: it does not see a change in glmmlib. Only `make test`, which has just run the
notebooks, hands their runs over in the folder that `BOOK_RUNS` names.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.display import status_iterator

from book.runs import kept_run


def run_side_by_side(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Run the notebooks among the pages that are about to be read, one a processor."""
    paths = [path for name in docnames if (path := Path(env.doc2path(name))).suffix == ".ipynb"]
    if not paths:
        return
    cache = get_cache(env.mystnb_config.execution_cache_path)  # type: ignore[attr-defined]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a kernel is a process of its own
        runs = {path: pool.submit(_run, path, app.config.nb_execution_timeout) for path in paths}
        for path in status_iterator(paths, "running notebooks... ", length=len(paths), stringify_func=_name):
            result = runs[path].result()
            if result.err is not None:
                pool.shutdown(cancel_futures=True)
                raise ExtensionError(f"{path.name} stopped with an error.\n{result.exc_string}")
            bundle = CacheBundleIn(result.nb, str(path), data={"execution_seconds": result.time})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _name(path: Path) -> str:
    return path.name


def _run(path: Path, timeout: int) -> ExecutionResult:
    notebook = nbformat.read(path, as_version=4)
    kept = kept_run(os.environ.get("BOOK_RUNS"), notebook, path.name)
    if kept is not None:
        return ExecutionResult(kept, str(path.parent), 0.0, None, None)
    return single_nb_execution(notebook, cwd=str(path.parent), timeout=timeout, allow_errors=False)
