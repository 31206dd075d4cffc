"""Many networks at once: a draw is one more axis, on every parameter that is drawn and on the data.

Arrays are (draws, samples, …), the units of a layer last. δ is of one sample, not reduced over the
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from pullback.calculus import cotangents
from pullback.calculus.quadrature import Array
from pullback.interop.measured import owners
from pullback.ir import Axes, Axis, Input, Named, Node, simplify, walk
from pullback.ir.build import spread, sum_over
from pullback.ir.lift import lifted
from pullback.ir.sizes import Sizes
from pullback.ir.weights import weights
from pullback.moments.law.layers import LawReading, Layer
from pullback.net.inputs import BATCH
from pullback.net.network import Network, Parameters
from pullback.net.program import Compiled, compile_program
from pullback.nn import ParameterSpec, init
from pullback.train.jax.device_program import DeviceProgram
from pullback.train.jax.placement import Placement

Change = Callable[[ParameterSpec, Array, np.random.Generator], Array]


# of each network, by the names of the parameters that are drawn
_PROGRAMS: WeakKeyDictionary[Network, dict[Any, Compiled | DeviceProgram]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Pass:
    """What goes into each layer by its index, where it is W a + b, and z and δ there."""

    inputs: dict[int, Array]
    z: dict[int, Array]
    delta: dict[int, Array]


class Ensemble:
    """All networks of one shape; ``fixed`` are the parameters that no draw changes.

    With a placement each of jax's devices computes its part of the draws.
    """

    def __init__(
        self, reading: LawReading, fixed: Mapping[str, Array], placement: Placement | None = None
    ) -> None:
        self.net: Network = reading.net
        self.layers: Sequence[Layer] = reading.layers
        self.reading, self.fixed, self.placement = reading, dict(fixed), placement

    def of(self, net: Network) -> Ensemble:
        """The same for another network with these parameters and inputs."""
        return Ensemble(type(self.reading)(net, self.reading.sizes), self.fixed)

    def on(self, placement: Placement) -> Ensemble:
        """The same, computed by some of jax's devices."""
        return Ensemble(self.reading, self.fixed, placement)

    @cached_property
    def drawn(self) -> tuple[ParameterSpec, ...]:
        """The parameters that differ between draws."""
        return tuple(spec for spec in self.net.specs if spec.name not in self.fixed)

    @cached_property
    def owners(self) -> dict[str, str]:
        """The layer that each parameter belongs to."""
        return owners(self.net)

    @cached_property
    def weights(self) -> tuple[frozenset[str], ...]:
        """The weights of each layer by name; none where it only joins what others computed."""
        return tuple(
            frozenset(each.name for each in weights(layer.equation)) for layer in self.layers
        )

    @cached_property
    def behind(self) -> dict[int, tuple[int, ...]]:
        """For each layer inside a branch, those from which every way to the output passes it."""
        return self.reading.behind()

    def scheme_of(self, spec: ParameterSpec, scheme: init.Scheme) -> init.Scheme:
        """The scheme of one parameter."""
        return scheme.of_layer(self.owners[spec.name])

    def draw(self, scheme: init.Scheme, draws: int, rng: np.random.Generator) -> Parameters:
        """The parameters of so many networks (draws, …), and those that are fixed as they are."""
        found = {s.name: _many(s, self.scheme_of(s, scheme), draws, rng) for s in self.drawn}
        return {**self.fixed, **found}

    def given(self, params: Mapping[str, Any]) -> Parameters:
        """Those of one network, from its state dict."""
        held = {spec.name: np.asarray(params[spec.name], float) for spec in self.net.specs}
        return {n: value if n in self.fixed else value[None] for n, value in held.items()}

    def changed(self, params: Parameters, change: Change, rng: np.random.Generator) -> Parameters:
        """The parameters with each weight and bias that is drawn changed."""
        weights = frozenset().union(*self.weights)
        some = (s for s in self.drawn if s.kind == "bias" or not weights or s.name in weights)
        return params | {s.name: change(s, params[s.name], rng) for s in some}

    def weight(self, layer: Layer, params: Parameters) -> Array | None:
        """The weight (draws, …) of a layer; None where it has none of its own."""
        if layer.weight is None:
            return None
        held = params[layer.weight]
        return held[None] if layer.weight in self.fixed else held

    def bytes_per_draw(self, samples: int) -> int:
        """The memory of one network's parameters and of what a pass keeps."""
        parameters = sum(int(np.prod(spec.shape)) for spec in self.drawn)
        return 8 * (2 * parameters + 8 * samples * sum(each.n_out for each in self.layers))

    def __call__(self, params: Parameters, batch: Mapping[str, Array]) -> Pass:
        """All z and δ for a batch (draws, samples, …) by the name of the input.

        What leaves the numbers is infinite or NaN, as IEEE arithmetic has it. Noise that the batch
        does not hold is drawn for each network and sample, the same in each call.
        """
        batch = {**self.noise(batch, np.random.default_rng(0)), **batch}
        with np.errstate(all="ignore"):
            found = self._program(params, batch)
        parts: dict[str, dict[int, Array]] = {"input": {}, "z": {}, "delta": {}}
        for layer in self.layers:
            for kind, held in parts.items():
                if (key := f"{kind}.{layer.index}") in found:
                    held[layer.index] = found[key]
            if isinstance(layer.arg, Input):
                parts["input"][layer.index] = batch[layer.arg.name]
        return Pass(parts["input"], parts["z"], parts["delta"])

    def noise(self, batch: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """A network's noise (draws, samples, …) for such a batch, by its law."""
        draws, sizes = len(batch["target"]), Sizes()
        for name, leaf in self.net.xs.items():
            sizes.update(zip(leaf.axes, batch[name].shape[1:], strict=True))
        return {
            name: each.law.draw((draws, *map(sizes.of, each.leaf.axes)), rng, np.float64)
            for name, each in self.net.noise.items()
        }

    def release(self) -> None:
        """Free what is kept between passes of one size."""
        self._program.release()

    @cached_property
    def work(self) -> int:
        """Multiply-adds of one network for one sample, about: forward through the layers."""
        fans = {spec.name: spec.n_in for spec in self.net.specs}
        inner = [max((fans[w] for w in held), default=0) for held in self.weights]
        pairs = zip(self.layers, inner, strict=True)
        return max(1, sum(layer.n_out * (fan + 1) for layer, fan in pairs))

    @property
    def _program(self) -> Compiled | DeviceProgram:
        kept = _PROGRAMS.setdefault(self.net, {})
        key = tuple(spec.name for spec in self.drawn), self.placement
        if key not in kept:
            kept[key] = self._compiled()
        return kept[key]

    def _compiled(self) -> Compiled | DeviceProgram:
        axis = Axis("draw")
        while axis.name in {each.name for node in walk((self.net.built,)) for each in node.axes}:
            axis = axis.primed
        inputs = [replace(leaf, over=(axis, *leaf.over)) for leaf in self.net.inputs]
        drawn = [self.net.parameters[spec.name] for spec in self.drawn]
        instead: dict[Node, Node] = dict(zip(self.net.inputs, inputs, strict=True))
        instead |= {leaf: replace(leaf, over=(axis, *leaf.over)) for leaf in drawn}
        keys, nodes, axes = zip(*self._roots(), strict=True)
        whole = map(spread, lifted(nodes, instead), ((axis, *each) for each in axes))
        roots = dict(zip(keys, whole, strict=True))
        if self.placement is not None:
            return DeviceProgram(roots, inputs, axis, self.placement)
        return compile_program(roots, "Every z and δ of many networks.", leaves=inputs)

    def _roots(self) -> list[tuple[str, Node, Axes]]:
        """z, δ and what goes in, of one network, with the order of their axes."""
        each = self.net.criterion.of_sample(self.net.built, self.net.target)
        args = {x.index: x.arg for x in self.layers if x.arg is not None}
        fed = {at: arg for at, arg in args.items() if not isinstance(arg, Input)}
        zs = [layer.equation for layer in self.layers]
        total, *nodes = simplify(sum_over(each, each.axes), *zs, *fed.values())
        alive = {node.name: node for node in walk((total,)) if isinstance(node, Named)}
        # what cancels is no part of the loss any more: its δ is 0
        here = [alive.get(z.name, node) for z, node in zip(zs, nodes, strict=False)]
        errors = cotangents(total, here)
        nodes = list(simplify(*here, *nodes[len(zs) :], *(errors[z] for z in here)))
        roots: list[tuple[str, Node, Axes]] = []
        for layer, z, delta in zip(self.layers, nodes, nodes[-len(zs) :], strict=False):
            between = [a for a in layer.equation.axes if a not in (BATCH, layer.rows)]
            axes = (BATCH, *between, *([layer.rows] if layer.rows else []))
            roots += [(f"z.{layer.index}", z, axes), (f"delta.{layer.index}", delta, axes)]
        for at, node in zip(fed, nodes[len(zs) :], strict=False):
            roots.append((f"input.{at}", node, (BATCH, *(a for a in node.axes if a != BATCH))))
        return roots


def _many(spec: ParameterSpec, scheme: init.Scheme, draws: int, rng: np.random.Generator) -> Array:
    """One array for each draw; in one call where the scheme's entries are independent."""
    shape = (draws, *spec.shape)
    if scheme.entries != "orthogonal":
        found = np.asarray(scheme.draw(replace(spec, shape=shape), rng))
        if found.shape == shape:
            return found
    return np.stack([scheme.draw(spec, rng) for _ in range(draws)])


@dataclass(frozen=True)
class Downstream:
    """The loss and δ as functions of the values of z at one layer, at given parameters."""

    ensemble: Ensemble
    layer: Layer

    @cached_property
    def _program(self) -> Compiled:
        net, z = self.ensemble.net, self.layer.equation
        held = Input(z.name, z.axes)
        (each,) = lifted([net.criterion.of_sample(net.built, net.target)], {z: held})
        each, total = simplify(each, sum_over(each, each.axes))
        (delta,) = simplify(cotangents(total, [held])[held])
        return compile_program(
            {"loss": each, "delta": delta}, f"The loss behind {z.name}.", leaves=(held,)
        )

    def __call__(
        self, params: Mapping[str, Any], batch: Mapping[str, Array], z: Array
    ) -> tuple[Array, Array]:
        """Losses (draws,) and δ (draws, …) for values of z (draws, …) at one sample."""
        held = {name: np.asarray(value, float) for name, value in params.items()}
        tiled = {
            name: np.broadcast_to(value, (len(z), *value.shape[1:]))
            for name, value in batch.items()
        }
        with np.errstate(all="ignore"):
            found = self._program(held, {**tiled, self.layer.equation.name: z})
        return found["loss"], found["delta"]
