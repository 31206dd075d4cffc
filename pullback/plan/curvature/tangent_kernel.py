"""``ntk``: the neural tangent kernel J Jᵀ, no more of J at a time than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np

from pullback.errors import ConfigError, unknown, whole
from pullback.interop.subject import takes_module
from pullback.net.checks import checked_inputs, checked_parameters, dtype_of
from pullback.net.modes import one_by_one
from pullback.net.network import Network
from pullback.notebook import can_animate
from pullback.plan.curvature.kernel_on_devices import kernel_on_devices
from pullback.plan.jacobian.blocks import Pairs
from pullback.plan.jacobian.front import all_parameters
from pullback.plan.jacobian.operators import Array
from pullback.plan.jacobian.parameters import ParameterJacobian, cross_gram
from pullback.train.jax.placement import Hardware

HELD = 2**29  # bytes of δ and a, or of blocks written out, that are held at a time


@takes_module("X1")
def ntk(
    net: Network,
    params: Mapping[str, Any],
    X1: Any,
    X2: Any = None,
    *,
    outputs: Pairs = "all",
    batch_size: int | None = None,
    progress: bool = False,
    devices: Any = None,
) -> Array:
    """The neural tangent kernel J(X₁) J(X₂)ᵀ (batch₁·outputs, batch₂·outputs), samples outer.

    J is with respect to all trained parameters; where a weight is used at several places, tokens or
    positions, δ and a are kept or multiplied, whichever is cheaper. X₂ is X₁ by default.
    ``outputs`` is "all", "each" for a kernel (outputs, batch₁, batch₂) of each output with itself,
    or "sum" for their sum (batch₁, batch₂). So many samples as fit into memory are looked at
    together, or ``batch_size``, with a bar if ``progress``; X₁ and X₂ may be of ``np.memmap``.
    ``ntk(module, X1)`` takes a torch module with its own weights.
    With ``devices`` (a number, a list, a mesh) those of jax compute it, each the rows of its part
    of X₁.
    Raises UnknownNameError for other outputs, ConfigError where a sample's output depends on other
    samples and for options that ``devices`` do not take.
    Jacot, Gabriel and Hongler (2018); Novak, Sohl-Dickstein and Schoenholz (2022).

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)),
    ...                  loss=pb.SquaredError())
    >>> ntk(net, net.init(seed=0), np.eye(3), np.ones((5, 3))).shape
    (6, 10)
    >>> ntk(net, net.init(seed=0), np.eye(3), np.ones((5, 3)), outputs="sum").shape
    (3, 5)
    """
    if outputs not in get_args(Pairs):
        raise unknown("outputs", outputs, get_args(Pairs))
    size = None if batch_size is None else whole("batch_size", batch_size)
    if devices is not None:
        if outputs != "all" or size is not None:
            raise ConfigError("with devices ntk takes neither outputs nor batch_size")
        place = Hardware(devices).placement
        return kernel_on_devices(net, params, X1, X1 if X2 is None else X2, place)
    one_by_one(net)
    first = _Slices(net, params, X1, size)
    second = first if X2 is None else _Slices(net, params, X2, size)
    if len(first) == len(second) == 1:
        one = first.at(0)
        return cross_gram(one, one if second is first else second.at(0), outputs)
    return _by_slices(first, second, outputs, progress)


class _Slices:
    """The Jacobian by slices of the samples, each made when it is asked for."""

    def __init__(self, net: Network, params: Mapping[str, Any], X: Any, size: int | None) -> None:
        self.net = net
        self.inputs = checked_inputs(net, X)
        self.params = checked_parameters(net, params, dtype_of(self.inputs, params))
        self.samples = len(next(iter(self.inputs.values())))
        self.size = min(size or self._fitting(), self.samples)

    def _fitting(self) -> int:
        if self.samples <= 32:
            return self.samples
        return max(1, HELD // max(self._of(slice(0, 1)).parts.nbytes, 1))

    def __len__(self) -> int:
        return -(-self.samples // self.size)

    def at(self, place: int) -> ParameterJacobian:
        """One of the slices."""
        return self._of(slice(place * self.size, (place + 1) * self.size))

    def _of(self, part: slice) -> ParameterJacobian:
        some = {name: x[part] for name, x in self.inputs.items()}
        return all_parameters(self.net, self.params, some)


def _by_slices(first: _Slices, second: _Slices, outputs: Pairs, progress: bool) -> Array:
    same = second is first
    of_pairs = len(first) * (len(first) + 1) // 2 if same else len(first) * len(second)
    rows: list[list[Array]] = []
    with _bar(of_pairs, progress) as advance:
        for i in range(len(first)):
            one, row = first.at(i), list[Array]()
            for j in range(len(second)):
                if same and j < i:
                    row.append(np.swapaxes(rows[j][i], -1, -2))
                    continue
                row.append(cross_gram(one, one if same and i == j else second.at(j), outputs))
                advance()
            rows.append(row)
    return np.concatenate([np.concatenate(row, axis=-1) for row in rows], axis=-2)


@contextmanager
def _bar(total: int, enabled: bool) -> Iterator[Callable[[], None]]:
    """A bar in a terminal or a notebook; yields what moves it on."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (enabled and can_animate(console)):
        yield lambda: None
        return
    with Progress(console=console) as bar:
        task = bar.add_task("pairs of slices", total=total)
        yield lambda: bar.advance(task)
