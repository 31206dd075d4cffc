"""``assert_gradients_ok``: a line for people's own test suites."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConfigError, positive
from pullback.moments.forecast import forecast
from pullback.moments.growth import LARGE, SMALL
from pullback.moments.verdict import ratios
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
    """Assert that RMS ‖δ‖ at every Linear is between low and high times that at the output.

    By the analytic forecast under ``scheme``, or ``init.glorot()`` as in ``net.init``, or what a
    torch module holds (its ``loss`` goes here); nothing is drawn.
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
    found = forecast(net, X, Y, scheme, methods=methods, loss=loss)
    relative = ratios(found.layers)
    wrong = [
        f"layer {at}: {ratio:.3g}" for at, ratio in enumerate(relative) if not low <= ratio <= high
    ]
    if wrong:
        raise AssertionError(
            f"{found.sentence} RMS ‖δ‖ over the output's is outside {low:g} to {high:g} at "
            f"{len(wrong)} of {len(relative)} layers ({', '.join(wrong[:5])}). "
            f"{found.advice.text()}"
        )
