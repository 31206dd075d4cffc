"""``Recurrence``: h_t = f(W h_(t−1) + u_t), one W for all steps; its δ by the recursion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from pullback.calculus import local_map
from pullback.closed.record import Array, as_floats
from pullback.errors import ConfigError, DataError, NotApplicableError, ShapeError, require, whole
from pullback.ir import Axes, Axis, Contract, Graph, Input, Map, Node, Parameter, flow, simplify
from pullback.ir.build import spread
from pullback.ir.forms import Gate, Join, Pointwise
from pullback.ir.scalar.function import Scalar, symbol
from pullback.net.inputs import BATCH
from pullback.net.program import Compiled, compile_program
from pullback.nn.activation import Identity
from pullback.nn.activation import activation as named
from pullback.nn.block import Block
from pullback.nn.scope import Scope
from pullback.notebook import headline, mathml, paragraph

Gradient = dict[str, Array]


@dataclass(frozen=True, eq=False, repr=False)
class Recurrence:
    """h_t = f(W h_(t−1) + u_t) for t = 1 … steps, with the loss at the last state.

    ``W`` is (units, units), the same at every step; (units,) is a diagonal, a number one unit.
    ``activation`` is a block that acts entry by entry, or a name (default: identity), ``inputs``
    is u, (units,) for all steps or (steps, units) one each, ``state`` is h_0 (units,), 0 if only
    inputs are given.
    Raises ShapeError for a W that is not square or for what does not fit it, DTypeError or
    DataError for what are no finite numbers, ConfigError for steps below 1.

    >>> r = Recurrence([[0.0, 1.0], [1.0, 1.0]], steps=10, state=[0.0, 1.0])
    >>> r.states[-1]
    array([55., 89.])
    >>> r.delta([1.0, 0.0], 0)
    array([34., 55.])
    """

    W: Any
    steps: int
    activation: Block | str | None = None
    inputs: Any = None
    state: Any = None

    def __post_init__(self) -> None:
        W = square("W", self.W)
        steps = whole("steps", self.steps)
        n = len(W)
        block = named(self.activation) if isinstance(self.activation, str) else self.activation
        block = Identity() if block is None else block
        require("activation", block, Block, "an activation such as pb.Tanh()")
        inputs = None if self.inputs is None else as_floats("inputs", self.inputs)
        if inputs is not None and inputs.shape not in ((n,), (steps, n)):
            raise ShapeError(
                f"inputs has shape {inputs.shape}; expected ({n},) or ({steps}, {n}): "
                "(units,) or (steps, units)"
            )
        state = None if self.state is None else as_floats("state", self.state)
        if state is not None and state.shape != (n,):
            raise ShapeError(f"state has shape {state.shape}; expected ({n},): (units,)")
        for name, value in (
            ("W", W), ("steps", steps), ("activation", block), ("inputs", inputs), ("state", state)
        ):  # fmt: skip
            object.__setattr__(self, name, value)
        _ = self.function

    @property
    def units(self) -> int:
        """How many units a state has."""
        return len(self.W)

    @property
    def axes(self) -> Axes:
        """The axes of a state."""
        return (Axis("state", self.units),)

    @cached_property
    def function(self) -> Scalar:
        """The scalar function of the activation, put together from its equations."""
        assert isinstance(self.activation, Block)
        z = Input("z", (BATCH, *self.axes))
        out = self.activation.build(z, Scope.top(training=False))
        known: dict[Node, Any] = {z: symbol(0)}
        for equation, form in flow(Graph({"h": out})).items():
            if isinstance(form, (Pointwise, Join, Gate)) and set(form.args) <= set(known):
                values = {symbol(at): known[arg] for at, arg in enumerate(form.args)}
                known[equation] = form.function.expr.xreplace(values)
        if out not in known:
            raise ConfigError(
                f"activation is {self.activation!r}; expected one that acts entry by entry, such "
                "as pb.Tanh()"
            )
        return Scalar.of(known[out], 1)

    def starting(self, state: Array) -> Recurrence:
        """The same recurrence from another h_0."""
        return replace(self, state=state)

    @property
    def has_states(self) -> bool:
        """Are the states known: is h_0 or are inputs given?"""
        return self.state is not None or self.inputs is not None

    @cached_property
    def _trajectory(self) -> tuple[Array, Array]:
        if not self.has_states:
            raise NotApplicableError(
                "the states are not known: give state=h_0 (units,) or inputs, as in "
                "pb.Recurrence(W, steps, state=h_0)"
            )
        h = np.zeros(self.units) if self.state is None else self.state
        given = np.zeros(self.units) if self.inputs is None else self.inputs
        inputs = np.broadcast_to(given, (self.steps, self.units))
        states, arguments = np.empty((2, self.steps + 1, self.units))
        states[0] = h
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(1, self.steps + 1):
                arguments[t] = self._times(self.W, states[t - 1]) + inputs[t - 1]
                states[t] = self.function(arguments[t])
        wrong = ~np.isfinite(states).all(1)
        if wrong.any():
            raise DataError(f"the states are not finite from step {int(np.argmax(wrong))} on")
        return states, arguments[1:]

    @property
    def states(self) -> Array:
        """h_0 … h_steps, (steps + 1, units); raises NotApplicableError where nothing is given."""
        return self._trajectory[0]

    @property
    def arguments(self) -> Array:
        """z_1 … z_steps, (steps, units), to which f is applied."""
        return self._trajectory[1]

    @cached_property
    def slopes(self) -> Array:
        """f'(z_t), (steps, units): the diagonals D_t."""
        return slopes(self.function, self.arguments)

    @cached_property
    def constant_slope(self) -> float | None:
        """f' where it is the same number everywhere, else None."""
        slope = self.function.partial(0).expr
        return float(slope) if slope.is_number else None

    def delta(self, delta_out: Any, layer: int = 0) -> Array:
        """δ at h_layer by the recursion δ_(t−1) = Wᵀ D_t δ_t, for δ (…, units) at the last state.

        Raises NotApplicableError where f' varies and the states are not known.
        """
        delta = as_floats("delta_out", delta_out)
        constant = self.constant_slope
        for t in range(self.steps, layer, -1):
            slope = constant if constant is not None else self.slopes[t - 1]
            delta = self._back(delta * slope)
        return delta

    def gradient(self, delta_out: Any) -> Gradient:
        """∂L/∂W = Σ_t D_t δ_t h_(t−1)ᵀ, ∂L/∂inputs and ∂L/∂state by the recursion.

        ``delta_out`` is ∂L/∂h_steps (units,). Raises ShapeError, and NotApplicableError where
        the states are not known.
        """
        slopes = self.slopes
        deltas = np.empty((self.steps + 1, self.units))
        deltas[-1] = one_delta(delta_out, self.units)
        for t in range(self.steps, 0, -1):
            deltas[t - 1] = self._back(deltas[t] * slopes[t - 1])
        return self.pulled(deltas)

    def pulled(self, deltas: Array) -> Gradient:
        """The same from δ of all states (steps + 1, units), every step at once."""
        inner = deltas[1:] * self.slopes
        given = {"h": self.states[:-1], "delta": inner}
        found = {"W": _weight(self.W.ndim == 1)({}, given)["W"], "state": deltas[0]}
        if self.inputs is not None:
            found["inputs"] = inner.sum(0) if self.inputs.ndim == 1 else inner
        return found

    def _times(self, W: Array, h: Array) -> Array:
        return W @ h if W.ndim == 2 else W * h

    def _back(self, rows: Array) -> Array:
        found: Array = rows @ self.W if self.W.ndim == 2 else rows * self.W
        return found

    def __repr__(self) -> str:
        n = self.units
        form = f"{n}×{n}" if self.W.ndim == 2 else f"diagonal of {n}"
        more = "" if self.constant_slope == 1 else f", {self.activation!r}"
        return f"Recurrence(W {form}, steps={self.steps}{more})"

    def text(self) -> str:
        """What is repeated, and how often."""
        given = "the states are known" if self.has_states else "no state is given"
        return f"h ← f(W h + u), {self.steps:,} times, {self.units} units; {given}."

    def _repr_html_(self) -> str:
        formula = r"h_t = f(W h_{t-1} + u_t),\quad \delta_{t-1} = W^{\top} D_t\, \delta_t"
        return f"{headline(self.text())}<p>{mathml(formula)}</p>{paragraph(repr(self))}"


def slopes(function: Scalar, z: Array) -> Array:
    """f'(z), for rows (batch, units): the diagonals of the Jacobian of f."""
    with np.errstate(all="ignore"):
        found: Array = _slopes(function)({}, {"z": z})["D"]
    return found


@lru_cache(maxsize=32)
def _slopes(function: Scalar) -> Compiled:
    """The diagonals of the Jacobians ∂f(z)/∂z, a step a row."""
    z = Input("z", (BATCH, Axis("units")))
    D = spread(local_map(Map(function, (z,)), z).tensor, z.axes)
    return compile_program({"D": D}, "The slopes of all steps.", leaves=(z,))


@lru_cache(maxsize=2)
def _weight(diagonal: bool) -> Compiled:
    """∂L/∂W from δ of z = W h, a step a row."""
    units = Axis("units")
    before = units if diagonal else Axis("before")
    h, delta = Input("h", (BATCH, before)), Input("delta", (BATCH, units))
    W = Parameter("W", (units,) if diagonal else (units, before))
    found = local_map(Contract((W, h), delta.axes), W).T @ delta
    return compile_program({"W": simplify(found)[0]}, "The gradient of W over all steps.")


def square(name: str, value: Any) -> Array:
    """A matrix (n, n), or the diagonal (n,) of one; raises ShapeError, DTypeError or DataError."""
    W = as_floats(name, value)
    W = W[None] if W.ndim == 0 else W
    if W.ndim > 2 or (W.ndim == 2 and W.shape[0] != W.shape[1]):
        raise ShapeError(
            f"{name} has shape {W.shape}; a weight that is used again and again is square: "
            "(units, units), or (units,) for a diagonal"
        )
    if W.size == 0:
        raise ShapeError(f"{name} is empty: its shape is {W.shape}")
    return W


def one_delta(delta_out: Any, units: int) -> Array:
    """∂L/∂ of the last state (units,); raises ShapeError."""
    delta = as_floats("delta_out", delta_out)
    if delta.shape != (units,):
        raise ShapeError(f"delta_out has shape {delta.shape}; expected ({units},): (units,)")
    return delta
