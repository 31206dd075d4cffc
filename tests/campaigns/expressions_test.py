"""Mutated expressions: each is read as NumPy would read it, or refused by an error of ours."""

import os
import random
import signal
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest

from pullback.errors import PullbackError
from pullback.net.expression import expr

PATIENCE = 60  # seconds of the processor, not of the clock, after which one text counts as a hang
ONE = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sin": np.sin, "sqrt": np.sqrt, "abs": np.abs,
    "square": np.square, "log1p": np.log1p, "atan": np.arctan, "cosh": np.cosh,
    "relu": lambda x: np.maximum(x, 0), "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "softplus": lambda x: np.logaddexp(x, 0), "step": lambda x: np.where(x > 0, 1, 0),
}  # fmt: skip
TWO = {"maximum": np.maximum, "minimum": np.minimum}
SIGNS = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power,
}  # fmt: skip
COMPARE = {">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal}
NUMBERS = ["2", "0.5", "1", "0", "3", "10", "0.1", "7", "12", "pi", "e"]
AT = {"x": np.array([0.3, 1.7, -0.6, 2.2]), "y": np.array([-1.1, 0.4, 0.9, 3.1])}

# what stands in the middle of an expression when somebody wishes us ill
HOSTILE = [
    "__import__('os').system('touch owned')", "open('owned','w')", "(lambda: x)()", "x.__class__",
    "[x for x in x]", "f'{x}'", "x:=1", "*x", "**x", "\ud800", "\0", "ｘ", "１", "²", "x\u0301",
    "1e999", "9**9**9", "1j", "0x10", "1_0", "'n'", "None", "True", "x[1:]", "x[::2]", "x[-9:]",
    "(" * 300, "-" * 300, "9" * 5000, "rename(x,n='m')", "sum(x,'m')",
    "where(where(x>0,1,2)>1,x,1)", "x if x else x", "x<x<x", "x and x", "nan", "inf", "det(x)",
    "1/0", "log(0)", "\u202e", "#", "\\", "x.T", "x@x", "outer(x,x)", "broadcast(x,'m')",
    "softmax(x)", "max(x)", "lambda", "2**x**x**9",
]  # fmt: skip


def number(text, kind):
    """A number in a precision; pi and e with all the digits that it holds."""
    exact = {"pi": lambda: 4 * np.arctan(kind(1)), "e": lambda: np.exp(kind(1))}
    return exact[text]() if text in exact else kind(text)


def formula(rng, depth):
    """A random formula as text, and the same as a function of NumPy arrays."""
    kind = rng.random()
    if depth == 0 or kind < 0.15:
        leaf = rng.choice(["x", "y", "x", *NUMBERS])
        if leaf in AT:
            return leaf, lambda at: at[leaf]
        return leaf, lambda at: number(leaf, at["x"].dtype.type)
    (a, f), (b, g) = formula(rng, depth - 1), formula(rng, depth - 1)
    if kind < 0.55:
        sign = rng.choice(list(SIGNS))
        return f"({a}{sign}{b})", lambda at: SIGNS[sign](f(at), g(at))
    if kind < 0.8:
        name = rng.choice(list(ONE))
        return f"{name}({a})", lambda at: ONE[name](f(at))
    if kind < 0.88:
        name = rng.choice(list(TWO))
        return f"{name}({a},{b})", lambda at: TWO[name](f(at), g(at))
    if kind < 0.94:
        (c, h), sign = formula(rng, 0), rng.choice(list(COMPARE))
        return (
            f"where({c}{sign}1,{a},{b})",
            lambda at: np.where(COMPARE[sign](h(at), 1), f(at), g(at)),
        )
    return f"(-{a})", lambda at: -f(at)


def mutated(rng, text):
    """The text with a few letters lost, doubled, swapped, or something hostile among them."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        at, end = sorted(rng.choices(range(len(text) + 1), k=2))
        at = max(at, end - 6)
        text = rng.choice(
            [
                text[:at] + text[end:],
                text[:end] + text[at:],
                text[:at] + rng.choice(HOSTILE) + text[end:],
                text[:at] + rng.choice("()[]+-*/@.,'\"= \n\t^!~:;0x") + text[at:],
            ]
        )
    return text


@contextmanager
def no_hang(text):
    """Fail with the text if it takes a minute of the processor's time."""

    def give_up(*_):
        raise AssertionError(f"still reading after {PATIENCE} s: {text!r}")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def read(text):
    """The value at AT with whichever of x and y the text declares to need."""
    fault = None
    for names in ("xy", "x", "y", ""):
        try:
            e = expr(text, **dict.fromkeys(names, "n"))
        except PullbackError as problem:
            fault = fault if fault is not None and "is declared" not in str(fault) else problem
            continue
        return e(**{name: AT[name] for name in names})
    raise fault


def sound(reference):
    """The reference where two precisions agree on it: elsewhere digits have been lost."""
    with np.errstate(all="ignore"):
        value = np.broadcast_to(np.asarray(reference(AT), dtype=float), 4)
        longer = {name: a.astype(np.longdouble) for name, a in AT.items()}
        finer = np.broadcast_to(np.asarray(reference(longer), dtype=np.longdouble), 4)
        near = np.abs(value - finer) <= 1e-11 * np.abs(finer)
    return value, near & np.isfinite(value) & (np.abs(value) < 1e100)


def campaign(count, seed):
    """Half of the texts as they are, half of them mutated; a line of counts."""
    rng, counts = random.Random(seed), Counter()
    for at in range(count):
        text, reference = formula(rng, rng.choice([1, 2, 3]))
        plain = at % 4 == 0
        text = text if plain else mutated(rng, text)
        with no_hang(text), np.errstate(all="ignore"):
            try:
                value = read(text)
            except PullbackError as fault:
                counts[type(fault).__name__] += 1
                continue
        counts["read"] += 1
        if plain:
            expected, comparable = sound(reference)
            found = np.broadcast_to(value, 4)
            np.testing.assert_allclose(
                found[comparable], expected[comparable], rtol=1e-8, atol=1e-300, err_msg=text
            )
            counts["compared"] += int(comparable.sum())
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="a hang is found by an alarm")
def test_a_mutated_expression_means_what_numpy_means_or_is_refused(size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = campaign(size(1500, 100_000), seed=1)
    print(line)
    assert " compared" in line
    assert os.listdir(tmp_path) == []  # nothing of a text has run
