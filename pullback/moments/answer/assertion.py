"""``assert_gradients_ok``: a line for people's own test suites."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConfigError, positive
from pullback.moments.answer.forecast import evaluated
from pullback.moments.answer.subject import subject
from pullback.moments.law.growth import LARGE, SMALL
from pullback.moments.sampling.trial import in_print
from pullback.nn import init


def assert_gradients_ok(
    net: Any,
    X: Any,
    Y: Any,
    low: float = SMALL,
    high: float = LARGE,
    scheme: init.Scheme | None = None,
    loss: Any = None,
) -> None:
    """Assert that RMS ‖δ‖ at every layer is between low and high times that at the output.

    By the forecast under ``scheme``, or ``init.glorot()`` as in ``net.init``, or of a torch module
    as it is (its ``loss`` goes here). A dead network, or one whose units are copies, fails too.
    Raises AssertionError that names the layers and what to do, and ``forecast``'s errors.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(8, 16), pb.Tanh(), pb.Linear(16, 2)),
    ...                  loss=pb.CrossEntropy())
    >>> assert_gradients_ok(net, np.eye(8), np.arange(8) % 2, low=0.2, high=5.0)
    """
    low, high = positive("low", low), positive("high", high)
    if low >= high:
        raise ConfigError(f"low is {low:g} and high is {high:g}; expected low below high")
    methods = ("independence", "exact", "coupled")
    found = evaluated(subject(net, X, Y, scheme, loss).setting, methods)
    relative = found.judged.relative
    wrong = [
        f"layer {at}: {in_print(ratio)}"
        for at, (layer, ratio) in enumerate(zip(found.layers, relative, strict=True))
        if layer.verdict != "idle" and not low <= ratio <= high
    ]
    broken = {"dead", "symmetric"} & {found.verdict, *(layer.verdict for layer in found.layers)}
    if broken and not wrong:
        raise AssertionError(f"{found.sentence} {found.advice.text()}")
    if wrong:
        raise AssertionError(
            f"{found.sentence} RMS ‖δ‖ over the output's is outside {low:g} to {high:g} at "
            f"{len(wrong)} of {len(relative)} layers ({', '.join(wrong[:5])}). "
            f"{found.advice.text()}"
        )
