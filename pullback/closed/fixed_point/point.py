"""``FixedPoint``: z* = F(z*, θ), found once; its Jacobian as products with vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from pullback.calculus import cotangents, pushforward
from pullback.closed.network.chain import alone
from pullback.closed.power.recurrence import square
from pullback.closed.record import Array, as_floats
from pullback.errors import ConfigError, NotApplicableError, ShapeError, require, unknown
from pullback.ir import Axis, Graph, Input, Node, Parameter, simplify, walk
from pullback.net.build import built, outlined
from pullback.net.equations import check_model
from pullback.net.inputs import BATCH, free
from pullback.net.program import Compiled, compile_program
from pullback.nn.activation import Identity, activation
from pullback.nn.block import Block, Linear, Sequential
from pullback.nn.scope import Scope
from pullback.notebook import headline, mathml, paragraph

DENSE = 600  # units up to which J is written out
_WALK, _NEWTON = 50, 60  # plain steps, then Newton's
_CLOSE = 1e-13


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoint:
    """z* = F(z*, θ) for a block F from (units,) to (units,) with its params, or z* = f(W z* + u).

    Given a matrix ``F`` = W (units, units), ``inputs`` is u (units,) and ``activation`` f, a block
    or a name (default: identity). ``start`` (units,) is where the search begins (default: 0); of
    a block from (tokens, features) to (tokens, features), say, it has that shape, and δ is
    flattened.
    Raises ShapeError for a W that is not square or a block that changes the shape, ConfigError,
    UnknownNameError, DTypeError or DataError for what makes no sense, and NotApplicableError for
    a block whose samples depend on each other.

    >>> p = FixedPoint([[0.5]], inputs=[1.0])
    >>> p.value
    array([2.])
    """

    F: Any
    inputs: Any = None
    activation: Block | str | None = None
    params: Mapping[str, Any] | None = None
    start: Any = None

    block: Block = field(init=False)
    theta: dict[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        block, given = self._of_block() if isinstance(self.F, Block) else self._of_matrix()
        start = self._start(block)
        z = _input(start.shape)
        specs = {spec.name: spec for spec in outlined(block, {"x": z}, ours=False).specs}
        for name in given:
            if name not in specs:
                raise unknown("parameter", name, specs)
        theta: dict[str, Array] = {}
        for name, spec in specs.items():
            if name not in given:
                raise ConfigError(f"params has no {name!r}; expected {', '.join(specs)}")
            theta[name] = as_floats(name, given[name])
            if theta[name].shape != spec.shape:
                raise ShapeError(f"{name} has shape {theta[name].shape}; expected {spec.shape}")
        out = built(block, {"x": z}, Scope.top(training=False))
        check_model(block, tuple(specs.values()), (out,), [z])
        shape = tuple(axis.size for axis in free(out.axes))
        if shape != start.shape:
            made, taken = ("×".join(map(str, each)) or "no" for each in (shape, start.shape))
            raise ShapeError(f"{block!r} makes {made} units of {taken}; expected as many")
        alone(Graph({"out": out}).between(z, out))
        for name, value in (("start", start), ("block", block), ("theta", theta)):
            object.__setattr__(self, name, value)

    def _start(self, block: Block) -> Array:
        """Where the search begins, in the shape of z."""
        n = block.n_in
        if self.start is None:
            if n is None:
                raise ConfigError(
                    f"{block!r} has no Linear block, so its width is not known; give start"
                )
            return np.zeros(n)
        start = as_floats("start", self.start)
        if start.ndim == 0 or (n is not None and start.shape[-1] != n):
            expected = n or "units"
            raise ShapeError(f"start has shape {start.shape}; expected ({expected},): (units,)")
        return start

    def _of_block(self) -> tuple[Block, dict[str, Any]]:
        if self.inputs is not None or self.activation is not None:
            raise ConfigError("a block brings its own activation and bias; give params only")
        return self.F, dict(self.params or {})

    def _of_matrix(self) -> tuple[Block, dict[str, Any]]:
        if self.params is not None:
            raise ConfigError("params go with a block; a matrix W comes with inputs")
        W = square("F", self.F)
        W = np.diag(W) if W.ndim == 1 else W
        f = activation(self.activation) if isinstance(self.activation, str) else self.activation
        f = Identity() if f is None else f
        require("activation", f, Block, "an activation such as pb.Tanh()")
        n = len(W)
        u = np.zeros(n) if self.inputs is None else as_floats("inputs", self.inputs)
        if u.shape != (n,):
            raise ShapeError(f"inputs has shape {u.shape}; expected ({n},): (units,)")
        return Sequential(Linear(n, n), f), {"0.weight": W, "0.bias": u}

    @cached_property
    def _z(self) -> Input:
        return _input(self.start.shape)

    @cached_property
    def _out(self) -> Node:
        return built(self.block, {"x": self._z}, Scope.top(training=False))

    @property
    def units(self) -> int:
        """How many units z has."""
        return prod(self.start.shape)

    @cached_property
    def value(self) -> Array:
        """z* (units,), or in the shape of ``start``, by plain steps and then Newton's.

        Raises NotApplicableError, with what is left of z − F(z), where neither gets there.
        """
        z: Array = self.start
        best = z
        least = np.inf
        with np.errstate(over="ignore", invalid="ignore"):
            for at in range(_WALK + _NEWTON):
                step = self._f(z) - z
                left = float(np.max(np.abs(step)))
                if left < least:
                    least, best = left, z
                if left <= _CLOSE * (1 + float(np.max(np.abs(z)))):
                    return z
                if not np.isfinite(left):
                    z = self.start if at < _WALK else best
                    break
                z = z + (step if at < _WALK else self._newton(z, step))
        if least <= 1e3 * _CLOSE * (1 + float(np.max(np.abs(best)))):
            return best
        raise NotApplicableError(
            f"no fixed point was found: after {_WALK + _NEWTON} steps |F(z) − z| is {least:.1e}; "
            "another start may help"
        )

    def _newton(self, z: Array, step: Array) -> Array:
        """(I − J)⁻¹ (F(z) − z)."""
        if self.units <= DENSE:
            left = np.eye(self.units) - self.jacobian(z)
            found: Array = np.linalg.lstsq(left, step.reshape(-1))[0]
            return found.reshape(step.shape)
        from scipy.sparse.linalg import LinearOperator, gmres

        shape = (self.units, self.units)
        operator = LinearOperator(shape, lambda v: v - self.push(v, z), dtype=np.float64)
        found = gmres(operator, step.reshape(-1), rtol=1e-10, maxiter=20)[0]
        return np.asarray(found).reshape(step.shape)

    def _f(self, z: Array) -> Array:
        found: Array = self._forward(self.theta, {"z": z[None]})["out"][0]
        return found

    @cached_property
    def _forward(self) -> Compiled:
        return compile_program({"out": simplify(self._out)[0]}, "F.")

    @cached_property
    def _leaves(self) -> dict[str, Parameter]:
        leaves = {n.name: n for n in walk((self._out,)) if isinstance(n, Parameter) and n.trained}
        return {name: leaves[name] for name in self.theta if name in leaves}

    @cached_property
    def _pull(self) -> Compiled:
        """Jᵀ v (batch, units), and the parameters' gradients summed over the batch."""
        seed = Input("v", self._out.axes)
        leaves = (self._z, *self._leaves.values())
        found = cotangents(self._out, leaves, seed)
        nodes = simplify(*(found[leaf] for leaf in leaves))
        names = ("z", *(f"gradient.{name}" for name in self._leaves))
        roots = dict(zip(names, nodes, strict=True))
        return compile_program(roots, "Jᵀ v.", leaves=(self._z, seed))

    @cached_property
    def _push(self) -> Compiled:
        tangent = Input("v", self._z.axes)
        change = pushforward(self._out, {self._z: tangent})
        return compile_program({"to": change}, "J v.", leaves=(self._z, tangent))

    def pull(self, rows: Array, z: Array) -> Array:
        """Jᵀ v for rows (batch, units) at z."""
        found: Array = self._pulled(rows, z)["z"]
        return found.reshape(rows.shape)

    def _pulled(self, rows: Array, z: Array) -> dict[str, Array]:
        v = rows.reshape(-1, *self.start.shape)
        inputs = {"z": np.broadcast_to(z.reshape(self.start.shape), v.shape), "v": v}
        return self._pull(self.theta, inputs)

    def push(self, v: Array, z: Array) -> Array:
        """J v for one v (units,) at z."""
        inputs = {name: each.reshape(1, *self.start.shape) for name, each in (("z", z), ("v", v))}
        found: Array = self._push(self.theta, inputs)["to"]
        return found.reshape(-1)

    def jacobian(self, z: Array) -> Array:
        """∂F/∂z (units, units) at z."""
        return self.pull(np.eye(self.units), z)

    def parameter_gradient(self, v: Array) -> dict[str, Array]:
        """(∂F/∂θ)ᵀ v at z*, with the shapes of the parameters."""
        found = self._pulled(v, self.value)
        names = {} if isinstance(self.F, Block) else {"0.weight": "W", "0.bias": "inputs"}
        return {names.get(name, name): found[f"gradient.{name}"] for name in self._leaves}

    def __repr__(self) -> str:
        what = repr(self.F) if isinstance(self.F, Block) else f"W {self.units}×{self.units}"
        return f"FixedPoint({what})"

    def text(self) -> str:
        """What is at rest."""
        return f"z* = F(z*), {self.units} units."

    def _repr_html_(self) -> str:
        formula = r"z^* = F(z^*),\quad \delta = (I - J^{\top})^{-1} g"
        return f"{headline(self.text())}<p>{mathml(formula)}</p>{paragraph(repr(self))}"


def _input(shape: tuple[int, ...]) -> Input:
    """z: its last axis is the state's, those before it are counted."""
    before = (Axis(f"state.{at}", n) for at, n in enumerate(shape[:-1]))
    return Input("z", (BATCH, *before, Axis("state", shape[-1])))
