"""Many networks at once: forward and backward over a leading axis of draws, in NumPy.

Shapes are (draws, samples, units). δ is of one sample, not reduced over the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pullback.moments.law.activation import evaluator
from pullback.moments.law.output import Output
from pullback.moments.law.quadrature import Array
from pullback.moments.structure import Affine, Op, Pointwise, Structure
from pullback.nn import ParameterSpec, init
from pullback.nn.block import joined

Layer = tuple[Array, Array | None]  # weight (draws, out, in), bias (draws, 1, out)


@dataclass(frozen=True)
class Pass:
    """What goes into each Linear by its index, z and δ there (draws, samples, units).

    ``loss`` is that of each sample (draws, samples).
    """

    inputs: dict[int, Array]
    z: dict[int, Array]
    delta: dict[int, Array]
    loss: Array


@dataclass(frozen=True)
class Engine:
    """The passes of one structure under one loss."""

    structure: Structure
    output: Output

    def __call__(
        self,
        layers: Sequence[Layer],
        x: Array,
        target: Array,
        held: Mapping[int, Array] | None = None,
    ) -> Pass:
        """All z and δ; ``held`` replaces the z of some Linear blocks by given values.

        What leaves the numbers is infinite or NaN, as IEEE arithmetic has it.
        """
        with np.errstate(all="ignore"):
            return _Run(self, layers, dict(held or {})).run(x, target)


class _Run:
    def __init__(self, engine: Engine, layers: Sequence[Layer], held: dict[int, Array]) -> None:
        self.engine, self.layers, self.held = engine, layers, held
        self.inputs: dict[int, Array] = {}
        self.z: dict[int, Array] = {}
        self.delta: dict[int, Array] = {}
        self.slopes: list[Array] = []

    def run(self, x: Array, target: Array) -> Pass:
        ops = self.engine.structure.ops
        h = self.forward(ops, x)
        flat = h.reshape(-1, h.shape[-1])
        loss, delta = self.engine.output(flat, np.ascontiguousarray(target.reshape(flat.shape)))
        self.backward(ops, delta.reshape(h.shape))
        return Pass(self.inputs, self.z, self.delta, loss.reshape(h.shape[:-1]))

    def forward(self, ops: Sequence[Op], h: Array) -> Array:
        for op in ops:
            if isinstance(op, Affine):
                weight, bias = self.layers[op.index]
                self.inputs[op.index] = h
                h = h @ weight.swapaxes(-1, -2)
                if bias is not None:
                    h += bias
                h = self.z[op.index] = self.held.get(op.index, h)
            elif isinstance(op, Pointwise):
                h, slope = evaluator(op.function)(h)
                self.slopes.append(slope)
            else:
                h = h + op.scale * self.forward(op.inner, h)
        return h

    def backward(self, ops: Sequence[Op], g: Array) -> Array:
        for op in reversed(ops):
            if isinstance(op, Affine):
                self.delta[op.index] = g
                g = g @ self.layers[op.index][0]
            elif isinstance(op, Pointwise):
                g = g * self.slopes.pop()
            else:
                g = g + self.backward(op.inner, op.scale * g)
        return g


def given(structure: Structure, params: Mapping[str, Any]) -> list[Layer]:
    """The weights of one network, from its state dict."""
    layers: list[Layer] = []
    for affine in structure.affines:
        weight, bias = (
            np.asarray(params[joined(affine.name, part)], float)
            if affine.bias or part == "weight"
            else None
            for part in ("weight", "bias")
        )
        assert weight is not None
        layers.append((weight[None], None if bias is None else bias[None, None]))
    return layers


def draw(
    structure: Structure, scheme: init.Scheme, draws: int, rng: np.random.Generator
) -> list[Layer]:
    """Weights of every Linear for so many networks."""
    return [_drawn(affine, scheme, draws, rng) for affine in structure.affines]


def _drawn(affine: Affine, scheme: init.Scheme, draws: int, rng: np.random.Generator) -> Layer:
    scheme, n_in, n_out = scheme.of_layer(affine.name), affine.n_in, affine.n_out
    weight = ParameterSpec(f"{affine.name}.weight", (n_out, n_in), "weight", n_in, n_out)
    bias = ParameterSpec(f"{affine.name}.bias", (n_out,), "bias", n_in, n_out)
    return (
        _many(weight, scheme, draws, rng),
        _many(bias, scheme, draws, rng)[:, None] if affine.bias else None,
    )


def _many(spec: ParameterSpec, scheme: init.Scheme, draws: int, rng: np.random.Generator) -> Array:
    """One array for each draw; in one call where the scheme's entries are independent."""
    shape = (draws, *spec.shape)
    if scheme.entries != "orthogonal":
        found = np.asarray(scheme.draw(replace(spec, shape=shape), rng))
        if found.shape == shape:
            return found
    return np.stack([scheme.draw(spec, rng) for _ in range(draws)])


def bytes_per_draw(structure: Structure, samples: int) -> int:
    """The memory of one network's weights and of what a pass keeps."""
    weights = sum(a.n_in * a.n_out + a.n_out for a in structure.affines)
    units = sum(a.n_out for a in structure.affines)
    return 8 * (2 * weights + 8 * samples * units)
