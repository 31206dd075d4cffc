"""Random formulas × every target: value, slope and curvature are the oracle's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
from formulas import Array, scalar_expression, scalar_formula

import pullback as pb
from pullback.emit import lower
from pullback.emit.target import jax as jax_target
from pullback.emit.target import numba
from pullback.emit.target import numpy as readable
from pullback.emit.target import torch as torch_target
from pullback.emit.target.language import Task
from pullback.errors import PullbackError
from pullback.ir import Axis, Input, Map, Node
from pullback.ir.evaluate import evaluate_all
from pullback.ir.language.parse import parse_scalar
from pullback.net.program import compile_program, execute

SEED = 20261
PLACES = np.array([0.0, 1.0, -1.0, 0.5, -0.37, 2.3, -3.1, 6.0, -6.0, 1.7e-3, 19.5, -25.0])
AT_ONCE = 20  # formulas that are drawn together
X = Input("x", (Axis("n"),))
Target = Callable[[Mapping[str, Node]], Mapping[str, Array]]


def drawn(count: int, seed: int) -> tuple[dict[str, Node], int]:
    """Value, slope and curvature of some formulas as roots, and how many texts were refused."""
    rng = np.random.default_rng(seed)
    roots: dict[str, Node] = {}
    refused = 0
    for at in range(count):
        text = scalar_formula(rng)
        text = text if "x" in text.replace("exp", "").replace("max", "") else f"({text})*x"
        try:
            function = parse_scalar(text)
        except PullbackError:
            refused += 1  # constant, or nowhere finite
            continue
        slope = function.partial(0)
        for order, each in enumerate((function, slope, slope.partial(0))):
            roots[f"f{at}.{order}: {text}"] = Map(each, (X,))
    return roots, refused


def task(reserved: frozenset[str], roots: Mapping[str, Node]) -> Task:
    program = lower(roots, reserved, (X,))
    return Task("run", "All formulas.", program, {key: key for key in roots})


def emitted(target: Any, convert: Callable[[Array], Any], roots: Mapping[str, Node]) -> Any:
    """What the code of a target gives, when it is run on its own."""
    source = target.emit([task(target.RESERVED | {"run"}, roots)], ["formulas"])
    return execute(source, {})["run"](convert(PLACES))


def interpreted_numba(roots: Mapping[str, Node]) -> Any:
    """The source for Numba, run by Python: as many formulas as one likes, without compiling."""
    source = numba.emit([task(numba.RESERVED | {"run"}, roots)], ["formulas"])
    source = source.replace("from numba import njit", "njit = lambda **_: lambda f: f")
    try:
        return execute(source, {})["run"](PLACES)
    except (OverflowError, ValueError, ZeroDivisionError):  # compiled code has ∞ or NaN there
        return emitted(numba, np.asarray, roots)


def runtime(roots: Mapping[str, Node]) -> Any:
    with np.errstate(all="ignore"):
        return compile_program(roots, "formulas")({}, {"x": PLACES})


def in_jax(roots: Mapping[str, Node]) -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return emitted(jax_target, jax.numpy.asarray, roots)


def in_torch(roots: Mapping[str, Node]) -> Any:
    import torch

    return emitted(torch_target, torch.as_tensor, roots)


# one formula in how many is tried, and how many stand in one program: compiling is not linear
TARGETS: dict[str, tuple[Target, int, int]] = {
    "program": (runtime, 1, 20),
    "numpy": (partial(emitted, readable, np.asarray), 1, 20),
    "numba, interpreted": (interpreted_numba, 1, 2),
    "numba": (partial(emitted, numba, np.asarray), 8, 2),
    "jax": (in_jax, 4, 20),
    "torch": (in_torch, 1, 20),
}


def in_programs(roots: Mapping[str, Node], formulas: int) -> Iterator[dict[str, Node]]:
    """The roots of so many formulas at a time: value, slope and curvature of each."""
    rest = iter(roots.items())
    while some := dict(islice(rest, 3 * formulas)):
        yield some


def expected(roots: Mapping[str, Node], x: Array = PLACES) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        found = evaluate_all(tuple(roots.values()), {"x": x})
    return {key: np.broadcast_to(found[node], x.shape) for key, node in roots.items()}


def tolerance(roots: Mapping[str, Node], known: Mapping[str, Array]) -> dict[str, Array]:
    """What rounding may change: how much the value does where x moves by a few units."""
    moved = [expected(roots, PLACES * (1 + step)) for step in (-3e-14, 3e-14)]
    with np.errstate(all="ignore"):
        return {
            key: 1e-9 * np.maximum(1, np.abs(value))
            + sum(np.abs(each[key] - value) for each in moved)
            for key, value in known.items()
        }


@pytest.mark.parametrize("name", TARGETS)
def test_scalar_functions(name, size):
    target, share, together = TARGETS[name]
    wrong, refused, count = [], 0, 0
    for seed in range(max(1, size(60, 5000) // share // AT_ONCE)):
        roots, none = drawn(AT_ONCE, SEED + seed)
        known = expected(roots)
        allowed, found = tolerance(roots, known), {}
        for some in in_programs(roots, together):
            found |= target(some)
        refused, count = refused + none, count + len(roots) // 3
        for key, value in known.items():
            got = np.broadcast_to(np.asarray(found[key], np.float64), PLACES.shape)
            with np.errstate(all="ignore"):
                bad = np.isfinite(value) & np.isfinite(allowed[key])
                bad &= ~(np.abs(got - value) <= allowed[key])
            if bad.any():
                at = int(np.argmax(bad))
                wrong.append(f"{key} at {PLACES[at]}: {got[at]!r}, expected {value[at]!r}")
    print(f"{name}: {count} formulas, {refused} refused, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])


CODE: dict[str, tuple[Callable[[Array], Any], int]] = {
    "numpy": (np.asarray, 1),
    "torch": (lambda a: __import__("torch").as_tensor(a), 1),
    "jax": (lambda a: __import__("jax").numpy.asarray(a), 4),
    "numba": (np.asarray, 12),
}


@pytest.mark.parametrize("name", CODE)
def test_tensor_expressions(name, size):
    """Rectangular ones, where a wrong transpose fails, and square ones, where it does not."""
    convert, share = CODE[name]
    if name == "jax":
        __import__("jax").config.update("jax_enable_x64", True)
    wrong, count = [], 0
    for seed in range(size(24, 3000) // share):
        rng = np.random.default_rng([SEED, seed])
        text, axes, values, value = scalar_expression(rng, square=bool(seed % 2))
        expression = pb.expr(text, **axes)
        count += 1
        if not np.isclose(expression(**values), value, rtol=1e-9, atol=1e-9):
            wrong.append(f"{text} {axes}: the oracle has {expression(**values)}, NumPy {value}")
            continue
        second = len(text) < 60  # a Hessian of every pair of variables is long
        d = pb.derive(expression, wrt=list(axes), order=2 if second else 1)
        names = execute(d.code(name), {})
        given = [convert(values[leaf.name]) for leaf in expression.leaves]
        got, slopes = names["value_and_grad"](*given)
        _, known = expression.function(wrt=list(axes))(**values)
        bad = [] if np.isclose(float(got), value, rtol=1e-9, atol=1e-9) else ["value"]
        bad += [v for v in axes if not _close(slopes[v], known[v])]
        if second:
            bad += _wrong_blocks(expression, d, names["hessian"](*given), values)
        if bad:
            wrong.append(f"{text} {axes}: {bad}")
    print(f"{name}: {count} expressions, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])


def _close(found: Any, expected: Array) -> bool:
    found = np.asarray(found, np.float64)
    return found.shape == np.shape(expected) and np.allclose(found, expected, rtol=1e-8, atol=1e-8)


def _wrong_blocks(
    expression: Any, d: Any, blocks: Mapping[str, Any], values: Mapping[str, Array]
) -> list[str]:
    """The blocks of the Hessian that are not the oracle's."""
    roots = {key: node for key, node in d.roots.items() if key.startswith("hessian.")}
    found = evaluate_all((*expression.leaves, *roots.values()), values)
    return [
        key
        for key, node in roots.items()
        if not _close(blocks[key.removeprefix("hessian.")], found[node])
    ]
