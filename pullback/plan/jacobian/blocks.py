"""What each parameter does to its layer: z_o gets p_oi a_i, or p_o alone; and what follows.

The block of a weight W (out, in) in the Jacobian is G ⊗ a for each sample, G (outputs, out) the
Jacobian of the output with respect to z and a (in) the layer's input; that of a bias is G.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from pullback.calculus.factor import Factor as Symbolic
from pullback.errors import ConfigError
from pullback.ir import Node, Parameter
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.operators import Array


@dataclass(frozen=True, eq=False)
class Block:
    """∂z/∂p of one use of one parameter at a node z (batch, out)."""

    name: str
    node: Node
    start: int  # where the parameter stands in the vector of all
    shape: tuple[int, ...]
    a: Array | None  # (batch, in) for a weight
    scale: float  # of a bias

    @classmethod
    def of(
        cls, numbers: Numbers, node: Node, leaf: Parameter, factor: Symbolic, start: int
    ) -> Block:
        """Read the block off a local Jacobian: an identity along out, and a along in."""
        value, axes = numbers.tensor(factor.tensor)
        shape = tuple(numbers.size((axis,)) for axis in leaf.axes)
        out = numbers.features(node)
        kinds = [axis in out for axis in leaf.axes]
        if kinds == [True] and not axes:
            return cls(leaf.name, node, start, shape, None, float(value))
        if kinds == [True, False] and set(axes) == {numbers.batch, leaf.axes[1]}:
            a = value if axes[0] == numbers.batch else value.T
            return cls(leaf.name, node, start, shape, a, 1.0)
        raise ConfigError(
            f"the Jacobian of parameter {leaf.name!r} is of a kind that is not known: it is "
            f"{factor.structure()} along its axes"
        )

    @property
    def columns(self) -> slice:
        """The columns of the Jacobian that are this parameter's."""
        return slice(self.start, self.start + prod(self.shape))

    def push(self, V: Array) -> Array:
        """The change of z (batch, out, k) for changes of all parameters (all, k)."""
        part = V[self.columns].reshape(*self.shape, V.shape[1])
        if self.a is None:
            return (self.scale * part)[None]
        return np.tensordot(self.a, part, (1, 1))

    def pull(self, delta: Array, into: Array) -> None:
        """Add what cotangents δ of z (batch, out, k) are for this parameter to (all, k)."""
        if self.a is None:
            into[self.columns] += self.scale * delta.sum(axis=0)
        else:
            part = np.tensordot(delta, self.a, (0, 0)).swapaxes(1, 2)
            into[self.columns] += part.reshape(-1, delta.shape[2])

    def kernel(self, other: Block) -> Array | float:
        """a aᵀ between all samples of two batches, (batch, batch); for a bias a number."""
        if self.a is None or other.a is None:
            return self.scale * other.scale
        return self.a @ other.a.T

    def fill(self, G: Array, into: Array) -> None:
        """Add G ⊗ a, written out, to the columns of a Jacobian (batch, outputs, all)."""
        view = into[:, :, self.columns]
        if self.a is None:
            view += self.scale * G
        else:
            outer = G[..., None] * self.a[:, None, None, :]
            view += outer.reshape(*outer.shape[:2], -1)

    def norms(self, G: Array, into: Array) -> None:
        """Add Σ over samples and outputs of (G ⊗ a)² to a vector (all)."""
        squares = np.square(G).sum(axis=1)
        if self.a is None:
            into[self.columns] += self.scale**2 * squares.sum(axis=0)
        else:
            into[self.columns] += (squares.T @ np.square(self.a)).ravel()
