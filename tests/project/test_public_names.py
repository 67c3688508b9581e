"""What ``gl.`` shows: the public names and nothing else, none of them in the way of a module."""

import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import glmmlib as gl
from glmmlib import plots, sliders


def test_the_library_shows_its_public_names_only():
    assert dir(gl) == sorted({*gl.__all__, "__version__", "errors", "palette"})
    assert all(getattr(gl, name) is not None for name in dir(gl))


@pytest.mark.parametrize("package", [gl, plots, sliders])
def test_public_names_are_sorted_once_each_and_no_module_hides_behind_one(package):
    assert list(package.__all__) == sorted(set(package.__all__))
    modules = {name for name in package.__all__ if inspect.ismodule(getattr(package, name))}
    assert modules == ({"plots", "sliders"} if package is gl else set())


def test_every_module_is_found_where_it_is_imported_from():
    """``import glmmlib.comparison.compare`` gives the module, not the function of that name."""
    names = [m.name for m in pkgutil.walk_packages(gl.__path__, "glmmlib.")]
    here = [name for name in names if not name.startswith("glmmlib.adapters.")]  # they need other packages
    modules = {name: import_module(name) for name in here}
    assert "glmmlib.comparison.compare" in modules
    assert not [name for name, module in modules.items() if found(name) is not module]


def found(name):
    place = gl
    for part in name.split(".")[1:]:
        place = getattr(place, part)
    return place


def test_what_is_no_public_name_is_no_function_in_disguise():
    with pytest.raises(AttributeError, match="has no attribute 'bootstrap'"):
        _ = gl.bootstrap


def test_importing_the_library_draws_no_picture():
    """matplotlib, Altair and the optimisers of SciPy take longer to load than most fits take."""
    code = "import sys, glmmlib; print(sorted({'altair', 'matplotlib', 'statsmodels'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
