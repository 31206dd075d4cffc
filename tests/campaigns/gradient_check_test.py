"""Random functions, smooth and kinked, rounded, scaled, random: no right gradient is called wrong.

Two-layer networks with backpropagation written by hand; the gradient is given right, and wrong by
0.1 % in one array or one entry.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pullback.laws import gradient_check

ACTIVATIONS = {  # value and slope
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sin": (np.sin, np.cos),
    "square": (lambda z: z * z, lambda z: 2 * z),
    "softplus": (lambda z: np.log1p(np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
    "relu": (lambda z: np.where(z.real > 0, z, 0), lambda z: (z > 0) * 1.0),
    "abs": (lambda z: np.where(z.real > 0, z, -z), np.sign),
}
KINDS = ("complex", "real", "float32", "float32 inputs", "rounded", "offset", "noisy", "random")
EXACT = ("complex", "real")  # a wrong gradient of these has to be called wrong


@dataclass
class Case:
    """One function with its gradient at a point."""

    kind: str
    activation: str
    at_kink: bool
    scales: tuple[float, float]

    def __post_init__(self):
        self.kinked = self.activation in ("relu", "abs")


def draw(rng):
    case = Case(
        str(rng.choice(KINDS)),
        str(rng.choice(list(ACTIVATIONS))),
        bool(rng.random() < 0.3),
        tuple(10.0 ** rng.choice([-8, -3, 0, 0, 0, 3, 8], 2)),
    )
    n, d, h = rng.integers(1, 6, 3)
    x, y = rng.normal(size=(n, d)), rng.normal(size=n)
    if case.at_kink:
        x[0] = 0
    act, slope = ACTIVATIONS[case.activation]
    one, two = case.scales
    W, v = rng.normal(size=(d, h)), rng.normal(size=h)
    at = {"W": W * one, "v": v * two}

    def value(p, dtype=None):
        W, v = p["W"] / one, p["v"] / two
        if dtype is not None:
            W, v = W.astype(dtype), v.astype(dtype)
        given = x if dtype is None else x.astype(dtype)
        r = act(given @ W) @ v - (y if dtype is None else y.astype(dtype))
        return np.mean(r * r)

    chance = np.random.default_rng(int(rng.integers(1 << 30)))
    functions = {
        "complex": value,
        "real": lambda p: float(np.real(value(p))),
        "float32": lambda p: float(value(p, np.float32)),
        "float32 inputs": lambda p: float(
            value({k: np.float64(np.float32(np.real(a))) for k, a in p.items()})
        ),
        "rounded": lambda p: round(float(np.real(value(p))), 5),
        "offset": lambda p: float(np.real(value(p))) + 1e9,
        "noisy": lambda p: float(np.real(value(p))) * (1 + 1e-8 * chance.normal()),
        "random": lambda p: float(np.real(value(p))) * (1 + 1e-2 * chance.normal()),
    }
    z = x @ W
    back = 2 * (act(z) @ v - y) / n
    right = {
        "W": x.T @ (back[:, None] * v * slope(z)) / one,
        "v": act(z).T @ back / two,
    }
    return case, functions[case.kind], right, at


def spoilt(rng, right):
    """0.1 % more, in one array or in one of its entries that is not small; None if all are."""
    name = str(rng.choice(list(right)))
    array = right[name].copy()
    large = np.argwhere(np.abs(array) > 0.1 * np.abs(array).max(initial=0))
    if not len(large):
        return None
    if rng.random() < 0.5:
        array *= 1.001
    else:
        array[tuple(rng.choice(large))] *= 1.001
    return right | {name: array}


def campaign(count, seed):
    """Counts of verdicts by kind; "right called wrong" and "wrong called right" have to be 0."""
    rng = np.random.default_rng(seed)
    counts, faults = Counter(), []
    for number in range(count):
        case, function, right, at = draw(rng)
        found = gradient_check(function, right, at, seed=number)
        counts[f"right: {found.status}"] += 1
        if found.status == "wrong" or (case.kind in EXACT and found.status != "right"):
            faults.append((number, case, found.verdict))
        if case.kind == "random" and "random" not in found.verdict:
            faults.append((number, case, found.verdict))
        wrong = spoilt(rng, right)
        if wrong is None:
            continue
        found = gradient_check(function, wrong, at, seed=number)
        counts[f"wrong: {found.status}"] += 1
        if found.status == "right" or (case.kind in EXACT and found.status != "wrong"):
            faults.append((number, case, found.verdict))
    print(
        f"gradient check, {count} functions: {dict(sorted(counts.items()))}, {len(faults)} faults"
    )
    return counts, faults


def test_no_right_gradient_is_called_wrong_and_no_wrong_one_right(size):
    counts, faults = campaign(size(60, 3000), seed=0)
    assert not faults, faults[:5]
    assert min(counts["right: right"], counts["wrong: wrong"]) > 0.4 * size(60, 3000)
