"""Formulas come from strangers too: what is no formula is refused, soon, and has run nothing."""

import contextlib
import time

import pytest

import glmmlib as gl
from glmmlib.errors import FormulaError, GlmmlibError
from glmmlib.formula.expressions import read_expression
from glmmlib.formula.parser import parse_formula

# Each would leave a file, read one, end the interpreter or reach another module, if it ran.
ATTACKS = [
    "__import__('os').system('touch {file}')",
    "open('{file}', 'w')",
    "exit()",
    "quit()",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "globals()",
    "vars()",
    "breakpoint()",
    "input()",
    "print(Days)",
    "getattr(Days, 'to_csv')('{file}')",
    "Days.to_csv('{file}')",
    "Days.to_pickle('{file}')",
    "Days.to_frame().to_csv('{file}')",
    "Days.agg('to_csv', 0, '{file}')",
    "Days.apply('to_csv')",
    "Days.transform('to_csv', 0, '{file}')",
    "Days.pipe(open)",
    "Days.groupby(Subject).transform('to_csv')",
    "Days.groupby(Subject).apply(print)",
    "Days.values.tofile('{file}')",
    "Days.to_numpy().dump('{file}')",
    "np.save('{file}', Days)",
    "np.savetxt('{file}', Days)",
    "np.load('{file}')",
    "np.loadtxt('{file}')",
    "np.genfromtxt('{file}')",
    "np.fromfile('{file}')",
    "np.memmap('{file}')",
    "np.os.system('touch {file}')",
    "np.testing.runstring('1', {{}})",
    "np.lib.format.open_memmap('{file}')",
    "np.frompyfunc(print, 1, 1)(Days)",
    "np.vectorize(print)(Days)",
    "np.apply_along_axis(print, 0, Days)",
    "np.add.__class__",
    "np.exp.__self__",
    "().__class__.__bases__[0].__subclasses__()",
    "''.__class__.__mro__",
    "'{{0.__class__}}'.format(Days)",
    "(lambda: 0)()",
    "[x for x in Days]",
    "f'{{Days.__class__}}'",
    "(x := Days)",
    "Days.__class__.__init__.__globals__",
    "Days.str.__class__",
    "C.__globals__",
    "contr.__class__",
    "contr.mro()",
    "scale.__wrapped__",
    "__FORMULAIC_SPEC__",
    "__FORMULAIC_CONTEXT__",
    "I(Days, _context=1)",
    "np.exp(Days, out=Days)",
    "Days.fillna(0, inplace=True)",
    "I(*Days)",
    "I(**Days)",
    "`open`('{file}')",
    "{{open('{file}', 'w')}}",
]


@pytest.fixture(scope="module")
def fit():
    return gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))


PLACES = {
    "fixed": lambda fit, text: gl.lmer(f"Reaction ~ Days + I({text}) + (1 | Subject)", fit.design.data),
    "response": lambda fit, text: gl.lmer(f"I({text}) ~ Days + (1 | Subject)", fit.design.data),
    "cbind": lambda fit, text: gl.glmer(
        f"cbind(Days, {text}) ~ 1 + (1 | Subject)", fit.design.data, family="binomial"
    ),
    "offset": lambda fit, text: gl.lmer(f"Reaction ~ Days + offset({text}) + (1 | Subject)", fit.design.data),
    "random": lambda fit, text: gl.lmer(f"Reaction ~ Days + (0 + I({text}) | Subject)", fit.design.data),
    "braces": lambda fit, text: gl.lmer(f"Reaction ~ {{{text}}} + (1 | Subject)", fit.design.data),
    "update": lambda fit, text: fit.update(f". ~ . + I({text})"),
    "re_form": lambda fit, text: fit.predict(re_form=f"~(0 + I({text}) | Subject)"),
    "wald_test": lambda fit, text: gl.wald_test(fit, text),
    "means by": lambda fit, text: gl.means(fit, text),
    "means at": lambda fit, text: gl.means(fit, "Days", at={text: 1}),
    "comparisons": lambda fit, text: gl.comparisons(fit, text),
    "slopes by": lambda fit, text: gl.slopes(fit, by=text),
    "parm": lambda fit, text: fit.conf_int(parm=text),
    "simulate": lambda fit, text: gl.simulate(
        f"~ I({text}) + (1 | Subject)", fit.design.data, fixef=[1, 1], sd=1, sigma=1, n=1, rng=1
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_but_formulas_runs(fit, attack, tmp_path):
    file = tmp_path / "was_here"
    for place, run in PLACES.items():
        with pytest.raises(GlmmlibError):
            run(fit, attack.format(file=file))
            pytest.fail(f"{place} let it pass")
    assert not file.exists()
    assert fit.design.data.equals(gl.load("sleepstudy"))


@pytest.mark.parametrize(
    "expression",
    [
        "log(x)", "sqrt(x)", "I(x**2)", "np.log1p(x)", "np.where(x > 3, 1, 0)", "np.clip(x, 0, 3)",
        "x.clip(0, 3)", "x.astype(float)", "x.astype('float')", "x.isin([1, 2])", "x.str.upper()", "x.str[0]",
        "x.dt.year", "x.dt.total_seconds() / 86400", "x.fillna(0)", "x.rank()", "x - x.mean()",
        "x.groupby(g).transform('mean')", "C(x, contr.treatment('b'))", "C(x, Sum)",
        "C(x, levels=['a', 'b'])",
        "C(np.digitize(x, [1, 2]))", "bs(x, df=5)", "bs(x, knots=[1, 2], degree=2)", "cr(x, df=3)",
        "poly(x, 2, raw=TRUE)", "scale(log(x))", "Q('my x')", "(x > 1) & ~(z > 2)", "x.map({'a': 1, 'b': 2})",
        "np.pi * x", "-x", "x // 2 % 2", "2.5e-3 * x", "`my x` + z",
    ],
)  # fmt: skip
def test_what_formulas_may_use(expression):
    assert read_expression(read_expression(expression).text).text == read_expression(expression).text


ODD = [
    "y ~ (x+z)**40", "y ~ (a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p)^16",
    "y ~ " + "*".join("abcdefghijklmnopqrstuvw"), "y ~ I(x**1e999)", "y ~ I(9**9**9)", "y ~ I(9**9**9**9)",
    "y ~ I((9**9)**(9**9))", "y ~ I(10**400*x)", "y ~ I('a' * 10**10)", "y ~ I([0] * 10**10)",
    "y ~ I((0,) * 10**10)", "y ~ I('%9999999999d' % 1)", "y ~ I(1 << 10**10)", "y ~ bs(x, df=10**9)",
    "y ~ poly(x, 99999999)", "y ~ I(1_000.__class__)", "y ~ " + "(" * 5000 + "x" + ")" * 5000,
    "y ~ I" + "(" * 5000 + "x" + ")" * 5000, "y ~ I(" + "-" * 50_000 + "x)",
    "y ~ I(" + "not " * 20_000 + "x)", "y ~ I(x" + ".abs()" * 5_000 + ")", "y ~ I(x" + "[0]" * 5_000 + ")",
    "y ~ I(" + "x+" * 20_000 + "x)", "y ~ " + "x+" * 60_000 + "x", "y ~ " + "-" * 90_000, "(" * 90_000,
    "`" * 9_999, "y ~ " + "x:" * 40_000, "y ~ (1 | " + "a/" * 400 + "b)", "y ~ (1 | " + "a:" * 400 + "b)",
    "y ~ " + "~" * 9_999, "y ~ x" + "^2" * 5_000, "y ~ " + "{" * 900 + "x" + "}" * 900,
    "y ~ I('" + "a" * 10, "y ~ x\\", "y ~ I(x\\)", "\x00", "y ~ I(\x00)", "y ~ \ud800", "y ~ I(\ud800)",
    "y ~ I(x;z)", "y ~ I(x=z)", "y ~ I(x:=z)", "y ~ I(x#)", "y ~ I(lambda)", "y ~ I(await x)",
    "y ~ I(yield)", "y ~ I(...)", "y ~ I(1j)", "y ~ I(b'x')", "y ~ I({1, 2})", "y ~ I({**x})", "y ~ ?",
    "~", "y ~ ~", "y ~ |", "y ~ (|)", "y ~ (x||)", "y ~ ()", "y ~ {}", "y ~ []", "y ~ x[", "y ~ I()",
    "y ~ 1:1:1)", "y ~ (1|g)(1|g)", "y ~ (1|g).x", "y ~ -(1|g)", "y ~ x ~ (1|g)", "y <- x", "y = x", "y",
    "", " ", "y ~ 0x10", "y ~ 1e5", "y ~ x && z", "y ~ x || z", "y ~ !x", "y ~ d[['x']]", "y ~ d$x",
    "y ~ x @ z", "y ~ %%", "y ~ x %o% z", "y ~ x,z", "y ~ us(x | g) * z", "y ~ cs(x | g, het=TRUE) + ",
    "y ~ exp(t + 0 | g)", "y ~ I(x | z)", "y ~ log(x || z)", "y ~ (x | g | h)", "y ~ (x | (1 | g))",
    "y ~ ((x | g) | h)", "y ~ (x ~ z)", "y ~ f(x)(z)", "y ~ f(x)[0].y()",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_strings_end_soon(text):
    """Most are refused, a few mean something; none takes a second or ends in somebody else's error."""
    start = time.process_time()
    for read in (parse_formula, gl.lmer):
        with contextlib.suppress(GlmmlibError):
            read(text) if read is parse_formula else read(text, gl.load("sleepstudy"))
    assert time.process_time() - start < 2


def test_messages_stay_short():
    with pytest.raises(FormulaError) as caught:
        parse_formula("y ~ I(" + "(x" * 40_000 + ")")
    assert len(caught.value.message) < 200
