"""Texts that wish us ill are refused in words of ours, soon, wherever a text is read."""

import pytest

from pullback.errors import PullbackError, closest, positive, shown, whole
from pullback.ir.language.parse import parse_axes, parse_scalar
from pullback.ir.language.syntax import MOST_PARTS
from pullback.net.expression import expr


def nested(step, times):
    text = "x"
    for at in range(times):
        text = step.format(text, at)
    return text


# text, a part of the message; each in one variable
REFUSED = [
    ("x\ud800", "does not belong"),
    ("sum(x, '\ud800')", "does not belong"),
    ("x\u202e", "does not belong"),
    ("ｘ", "(U+FF58) is not ours: write 'x'"),
    ("１*x", "(U+FF11) is not ours: write '1'"),
    ("µ*x", "write 'μ'"),
    ("e\u0301*x", "one character"),
    ("pi**1000*x", "not a finite real number"),
    ("1e300**1000*x", "not a finite real number"),
    ("(-8)**(1/3)*x", "not a finite real number"),
    ("0**-1*x", "not a finite real number"),
    ("x**(10**9)", "too steep"),
    ("2**2**2**2**2*x", "too steep"),
    ("x" + "**x" * 59, "a tower of more than 8 powers"),
    ("x" + "**x" * 3000, "nested more than 60 deep"),
    ("2**(x - x + 10**9)", "too steep"),
    ("(2*x)**(0*x + 10**9)", "too steep"),
    ("2**(10**9*x/x)", "too steep"),
    ("2**where(e > e, x, 10**9)", "too steep"),
    ("((2*x)**(x/x*1000))**(x/x*1000)", "too steep"),
    ("where(where(x>0, 1, 2) > 1, x, 0)", "where stands in the condition of another"),
    ("where(x > 1 + where(x>0, 1, 2), x, 0)", "where stands in the condition of another"),
    (nested("maximum({0}, sin({1}*x))", 50), "inside one another"),
    (nested("where({0} > {1}, x, 1)", 20), "where stands in the condition of another"),
    (nested("exp({0})", 61), "deep"),
    ("(" * 4000 + "x" + ")" * 4000, "not an expression"),
    ("9" * 5000 + "*x", "too many digits"),
    ("[" + "x," * (MOST_PARTS + 1) + "]", f"at most {MOST_PARTS}"),
    ("1if x else 2", "not this"),
    ("nan*x", "'nan'"),
    ("inf*x", "'inf'"),
    ("1j*x", "not this"),
    ("True*x", "not this"),
    ("exp(*x)", "not this"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[ascii(r[0])[:40] for r in REFUSED])
@pytest.mark.parametrize("read", [lambda text: expr(text, x="n"), parse_scalar])
def test_a_hostile_text_is_refused(read, text, message):
    with pytest.raises(PullbackError) as caught:
        read(text)
    assert message in str(caught.value)
    str(caught.value).encode()  # it can be printed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000*x", 500.0),
        ("0x10*x", 8.0),
        ("2**-10*x", 2.0**-11),
        ("x**1000", 2.0**-1000),
        ("-+-+-x", -0.5),
        ("(x/4)**(1/3)", 0.5),
        ("1e-300*x", 5e-301),
        ("(step(3) - 1)*x", 0.0),
        ("(tanh(1000) - 1)*x", 0.0),
    ],
)
def test_what_is_unusual_and_right_is_read(text, value):
    assert expr(text, x="")(x=0.5) == pytest.approx(value, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("n=-3", "letters, digits and _"),
        ("n=1e9", "letters, digits and _"),
        ("ｎ", "write 'n'"),
        ("n\ud800", "letters, digits and _"),
        (" ".join(f"a{i}" for i in range(50_000)), "50000 axes; at most 16"),
        ("n:3", "letters, digits and _"),
        ("n-1", "letters, digits and _"),
        (b"n", "are a string"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_hostile_axis_is_refused(names, message):
    with pytest.raises(PullbackError) as caught:
        parse_axes("x", names)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


# a slip of the fingers, what it is of, or nothing near it
@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("tahn", ["tan", "tanh"], "tanh"),
        ("lgo", ["log"], "log"),
        ("hee", ["he"], "he"),
        ("W", ["w"], "w"),
        ("matrixfree", ["matrix_free"], "matrix_free"),
        ("0.wieght", ["0.weight", "2.weight"], "0.weight"),
        ("det", ["dot"], None),
        ("inv", ["sin"], None),
        ("y", ["x"], None),
        ("gamma", ["sigma"], None),
        ("softsign", ["softmax"], None),
        ("x" * 100_000, ["y" * 100_000], None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_close_match_is_really_close(name, known, meant):
    assert closest(name, known) == meant


@pytest.mark.parametrize(
    "value", [2**2000, float("nan"), "3", None, [], True, 10**5000], ids=range(7)
)
def test_what_is_no_number_is_told_shortly(value):
    with pytest.raises(PullbackError) as caught:
        positive("rate", value)
    assert len(str(caught.value)) < 160
    assert len(shown(value)) <= 80


def test_a_whole_number_may_be_large_and_its_text_is_not():
    assert whole("batch", 10**5000) == 10**5000
    with pytest.raises(PullbackError, match="more than 4,300 digits"):
        whole("batch", -(10**5000))
