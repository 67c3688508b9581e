"""The rules of the house, read off the syntax trees, and each rule shown to fail where it is broken."""

import ast
import re
import subprocess
import sys
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from glmmlib.families.registry import ALL_FAMILIES

ROOT = Path(__file__).parents[2]
FILES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "glmmlib").rglob("*.py"))
}

#: What takes longer to import than a fit takes, and is needed now and then only.
SLOW = (
    "altair",
    "joblib",
    "matplotlib",
    "pyarrow",
    "scipy.interpolate",
    "scipy.optimize",
    "scipy.spatial",
    "scipy.stats",
    "tqdm",
)


# --- rules: each takes {path: source} and returns what breaks it -----------------------------------------


def relative_imports(files):
    return [
        f"{path}:{node.lineno}"
        for path, tree in parsed(files)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def late_imports(files):
    """An import inside a function that is neither slow nor of another's making."""
    return sorted(
        {
            f"{path}:{node.lineno} {name}"
            for path, tree in parsed(files)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
            for name in imported(node)
            if not any(name == slow or name.startswith(slow + ".") for slow in SLOW)
        }
    )


def foreign_private_names(files):
    """An attribute ``x._name`` that the package which touches it does not define."""
    found, defined = [], {}
    for path, tree in parsed(files):
        defined.setdefault(package(path), set()).update(private_definitions(tree))
    for path, tree in parsed(files):
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and is_private(node.attr)
                and not is_own(node.value)
                and node.attr not in defined[package(path)]
            ):
                found.append(f"{path}:{node.lineno} {ast.unparse(node)}")
    return found


def circles(files):
    """Modules that import each other, directly or on a way round."""
    graph = {module(path): set() for path in files}
    for path, tree in parsed(files):
        for name in chain.from_iterable(imported(node) for node in ast.walk(tree)):
            target = next((t for t in (name, name.rpartition(".")[0]) if t in graph), None)
            if target:
                graph[module(path)].add(target)
    reached = {start: reachable(graph, start) for start in graph}
    return sorted(start for start in graph if start in reached[start])


def names_of_families(files):
    """A comparison, or a look-up, by the name of a family or a link: the object knows."""
    return [
        f"{path}:{part.lineno} {ast.unparse(part)}"
        for path, tree in parsed(files)
        if "/families/" not in path
        for part in decisions(tree)
        if any(is_name_of_family(element) for element in elements(part))
    ]


def absent_families(files):
    """A question whether there is a family, or a sigma, at all: the normal distribution is a family."""
    return [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for path, tree in parsed(files)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Is | ast.IsNot)
        and getattr(node.left, "attr", getattr(node.left, "id", None)) in ("family", "sigma")
    ]


def untyped_public_functions(files):
    """A public function, method or property, or one with a name of Python's own, without all its hints."""
    return [
        f"{path}:{function.lineno} {function.name}({', '.join(missing_hints(function))})"
        for path, tree in parsed(files)
        for function in public_functions(tree.body)
        if missing_hints(function)
    ]


RULES = [
    relative_imports,
    late_imports,
    foreign_private_names,
    circles,
    names_of_families,
    absent_families,
    untyped_public_functions,
]

BROKEN = {
    relative_imports: {"glmmlib/models/a.py": "from .b import c"},
    late_imports: {"glmmlib/models/a.py": "def f():\n    from glmmlib.models.b import c\n    return c"},
    foreign_private_names: {
        "glmmlib/models/a.py": "class Fit:\n    def __init__(self):\n        self._inside = 1",
        "glmmlib/variance/b.py": "def look(fit):\n    return fit._inside",
    },
    circles: {
        "glmmlib/models/a.py": "if TYPE_CHECKING:\n    from glmmlib.models.b import x",
        "glmmlib/models/b.py": "from glmmlib.design import c",
        "glmmlib/design/c.py": "import glmmlib.models.a",
    },
    names_of_families: {"glmmlib/variance/a.py": "family.name == 'beta'"},
    absent_families: {"glmmlib/variance/a.py": "if fit.sigma is not None: pass"},
    untyped_public_functions: {"glmmlib/variance/a.py": "class A:\n    def f(self, x) -> int: pass"},
}

#: Each of these decides something by a name.
BY_NAME = (
    "family.name == 'beta'",
    "fit.family.link.name in ('identity', 'sqrt')",
    "name != 'poisson'",
    "WORDS[family.name]",
    "WORDS.get((family.name, family.link.name))",
    "name in ('poisson', 'negbinomial')",
    "match name:\n    case 'gamma': pass",
)

SOUND = {
    relative_imports: {"glmmlib/models/a.py": "from glmmlib.models.b import c"},
    late_imports: {"glmmlib/models/a.py": "def f():\n    import matplotlib.pyplot as plt\n    return plt"},
    foreign_private_names: {
        "glmmlib/models/a.py": "class Fit:\n    def _inside(self):\n        return self._inside",
        "glmmlib/models/b.py": "def look(fit):\n    return fit._inside, fit.__dict__",
    },
    circles: {
        "glmmlib/models/a.py": "from glmmlib.models.b import x",
        "glmmlib/models/b.py": "import numpy, glmmlib.fitted",
        "glmmlib/fitted.py": "from glmmlib.types import Fit",
    },
    names_of_families: {"glmmlib/models/a.py": "print(f'{family.name}, {family.link.name} link', 'poisson')"},
    absent_families: {"glmmlib/models/a.py": "fit.family == other.family or weights is None"},
    untyped_public_functions: {
        "glmmlib/variance/a.py": "class A:\n    def __init__(self, x: int): pass\ndef _f(x): pass"
    },
}


@pytest.mark.parametrize("rule", RULES)
def test_the_library_keeps_the_rule(rule):
    assert rule(FILES) == []


@pytest.mark.parametrize("rule", BROKEN)
def test_the_rule_sees_what_breaks_it_and_nothing_else(rule):
    assert rule(BROKEN[rule])
    assert not rule(SOUND[rule])


@pytest.mark.parametrize("source", BY_NAME)
def test_the_rule_about_names_sees_every_way_to_decide_by_one(source):
    assert names_of_families({"glmmlib/variance/a.py": source})


# --- import contracts ------------------------------------------------------------------------------------

WRONG_WAYS = {
    "Floors": {"glmmlib/linalg/blocks.py": "import glmmlib.models.lmer"},
    "No circle": {
        "glmmlib/inference/means.py": "import glmmlib.inference.wald",
        "glmmlib/inference/wald.py": "import glmmlib.inference.means",
    },
    "The engine": {"glmmlib/likelihood/lmm.py": "import pandas"},
    "Only formula": {"glmmlib/comparison/anova.py": "import formulaic"},
    "Only plots": {"glmmlib/reporting/report.py": "import matplotlib"},
    "A family": {"glmmlib/families/gamma.py": "import glmmlib.families.counts"},
}


def test_the_library_keeps_its_import_contracts():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("contract", WRONG_WAYS)
def test_a_contract_sees_what_breaks_it(contract, tmp_path):
    """In a library of empty files, but for the imports that go the wrong way."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(WRONG_WAYS[contract].get(name, ""))
    done = lint_imports(tmp_path)
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode == 1
    assert any(line.startswith(contract) for line in broken), done.stdout


def lint_imports(folder):
    code = (
        "import sys; from importlinter.cli import lint_imports;"
        " sys.exit(lint_imports(sys.argv[1], no_cache=True))"
    )
    command = [sys.executable, "-c", code, str(ROOT / ".importlinter")]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(folder), "COLUMNS": "200"}
    )


# --- syntax trees ----------------------------------------------------------------------------------------


def parsed(files):
    """Paths with syntax trees, which nobody changes."""
    return [(path, tree_of(source)) for path, source in files.items()]


@cache
def tree_of(source):
    return ast.parse(source)


def public_functions(body):
    """Functions that no name with an underscore stands before, in the order of the text."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and not is_private(node.name):
            yield node
        elif isinstance(node, ast.ClassDef) and not is_private(node.name):
            yield from public_functions(node.body)


def missing_hints(function):
    """The arguments without a hint, and "return"; `__init__` may leave that out."""
    a = function.args
    given = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    own = ("self", "cls") if given and given[0].arg in ("self", "cls") else ()
    missing = [argument.arg for argument in given if argument.annotation is None and argument.arg not in own]
    return missing + ["return"] * (function.returns is None and function.name != "__init__")


def module(path):
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def package(path):
    return path.rpartition("/")[0]


def imported(node):
    """The full names that an import statement asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def decisions(tree):
    """What comparisons, look-ups and patterns compare."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)
        elif isinstance(node, ast.Subscript):
            yield node.slice
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) in ("get", "startswith"):
            yield from node.args
        elif isinstance(node, ast.match_case):
            yield from (part for part in ast.walk(node.pattern) if isinstance(part, ast.expr))


def elements(node):
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]


def is_name_of_family(node):
    """Is it ``family.name`` or ``fit.family.link.name``, or a name that could be nothing else?"""
    if isinstance(node, ast.Constant):
        return node.value in {*ALL_FAMILIES, "logit", "probit", "cloglog"}
    owner = getattr(node, "value", None)
    is_owner = getattr(owner, "attr", getattr(owner, "id", None)) in ("family", "link")
    return isinstance(node, ast.Attribute) and node.attr == "name" and is_owner


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def is_own(value):
    """Is this ``self``, ``cls`` or ``super()``?"""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "super"
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def private_definitions(tree):
    """Private names of methods, class attributes and attributes of ``self``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    yield part.name
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    yield part.target.id
                elif isinstance(part, ast.Assign):
                    yield from (target.id for target in part.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            yield node.attr


def reachable(graph, start):
    found, waiting = set(), list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


#: The recipes' own examples, which a newcomer adds.
TO_COME = {"covariance/homogeneous.py", "families/lognormal.py"}


def test_every_file_that_the_architecture_names_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+(?:\.(?:py|csv|md|toml|ini|txt)|/))`", text)) - TO_COME
    places = [ROOT, ROOT / "glmmlib", ROOT / "tests"]
    assert len(named) > 10 and not [n for n in named if not any((p / n).exists() for p in places)]
