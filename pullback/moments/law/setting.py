"""What is forecast: a network, its data, how its parameters start, and the laws that hold."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError, require
from pullback.moments.law.cases import Cases, cases
from pullback.moments.law.flow import Flow
from pullback.moments.law.layers import LawReading, Layer, Structure
from pullback.moments.law.output import Output, check_law
from pullback.moments.law.weights import Weights, weights_of
from pullback.moments.sampling.draws import Ensemble
from pullback.net.checks import as_array, checked_batch
from pullback.net.modes import check_several
from pullback.net.network import Network, Parameters
from pullback.nn import init


@dataclass(frozen=True)
class Laws:
    """What the laws need: the network as they read it, its weights, its loss and its data."""

    structure: Structure
    weights: tuple[Weights, ...]
    output: Output
    data: Cases

    def under(self, scheme: init.Scheme, x: Array, target: Array, frozen: Container[str]) -> Laws:
        """The same with weights drawn by a scheme, those that are frozen aside."""
        drawn = weights_of(self.structure, scheme)
        weights = tuple(
            now if layer.weight in frozen else new
            for layer, now, new in zip(self.structure.affines, self.weights, drawn, strict=True)
        )
        return replace(self, weights=weights).on(x, target)

    def on(self, x: Array, target: Array) -> Laws:
        """The same with other data."""
        return replace(self, data=_cases(self.structure, self.weights, x, target))


def _cases(structure: Structure, weights: Sequence[Weights], x: Array, target: Array) -> Cases:
    x = structure.head.function(x) if structure.head else x
    return cases(x, target, any(w.mean for w in weights))


@dataclass(frozen=True)
class Setting:
    """What is forecast: the network as read, its data and how its parameters are drawn.

    ``laws`` are those of chains and skips, None where it is no such network, as ``why`` says.
    ``held`` are the parameters themselves where they are those of a module, not drawn.
    """

    net: Network
    scheme: init.Scheme
    ensemble: Ensemble = field(repr=False)
    batch: Mapping[str, Array] = field(repr=False)  # every input, and the target
    laws: Laws | None
    why: str = ""
    held: Parameters | None = field(default=None, repr=False)
    format: str = "float32"  # that it is run in, "float16" for a module of half precision

    @classmethod
    def of(
        cls,
        net: Network,
        X: object,
        Y: object,
        scheme: init.Scheme,
        params: Mapping[str, Any] | None = None,
    ) -> Setting:
        """Read and check everything; raises the errors of bad data, schemes and networks."""
        require("scheme", scheme, init.Scheme, "one such as pb.init.he()")
        batch = checked_batch(net, _floats(net, X), Y, {"float64": np.zeros(1)})
        batch = {n: v.astype(float) if v.dtype.kind == "f" else v for n, v in batch.items()}
        check_several(net, batch)
        sizes = {
            axis: length
            for name, leaf in net.xs.items()
            for axis, length in zip(leaf.axes, batch[name].shape, strict=True)
        }
        reading = LawReading(net, sizes)
        # what does not start at random, and what a module holds frozen, no draw changes
        fixed = {s.name: np.full(s.shape, s.start) for s in net.specs if not s.drawn}
        if params is not None:
            frozen = (spec.name for spec in net.specs if not spec.trained)
            fixed |= {name: np.asarray(params[name], float) for name in frozen}
        ensemble = Ensemble(reading, fixed)
        held = None if params is None else ensemble.given(params)
        try:
            structure = reading.structure()
            check_law(net.criterion)
        except NotApplicableError as reason:
            return cls(net, scheme, ensemble, batch, None, str(reason), held)
        weights = weights_of(structure, scheme, fixed=held is not None)
        output = Output(net.criterion, structure.tail, structure.outputs)
        data = _cases(structure, weights, batch[net.x.name], batch["target"])
        laws = Laws(structure, weights, output, data)
        return cls(net, scheme, ensemble, batch, laws, "", held)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every z, input side first."""
        return self.ensemble.reading.layers

    @property
    def inputs(self) -> dict[str, Array]:
        """The data that go in, by the name of the input."""
        return {name: self.batch[name] for name in self.net.xs}

    @property
    def x(self) -> Array:
        """The only input's data, or the first one's."""
        return next(iter(self.inputs.values()))

    @property
    def target(self) -> Array:
        """The targets (batch, …)."""
        return self.batch["target"]

    @property
    def samples(self) -> int:
        """How many samples the data have."""
        return len(self.target)

    @property
    def known(self) -> Laws:
        """The laws of chains and skips; raises NotApplicableError, with the reason, where none."""
        if self.laws is None:
            raise NotApplicableError(
                f"it is for Linear, activations and skips over (batch, features) ({self.why})"
            )
        return self.laws

    @property
    def flow(self) -> Flow:
        """The laws of its equations, one by one."""
        fixed = self.ensemble.fixed
        held = {n: v if n in fixed else v[0] for n, v in (self.held or {}).items()}
        return Flow(self.net, self.scheme, fixed, self.batch, held=held)

    @property
    def structure(self) -> Structure:
        """The network as the laws read it."""
        return self.known.structure

    @property
    def weights(self) -> tuple[Weights, ...]:
        """The law of each layer's weights."""
        return self.known.weights

    @property
    def output(self) -> Output:
        """The last activation and the loss."""
        return self.known.output

    @property
    def data(self) -> Cases:
        """The data as the laws see them."""
        return self.known.data

    def under(self, scheme: init.Scheme) -> Setting:
        """The same network and data with weights drawn by a scheme."""
        laws = self.laws and self.laws.under(scheme, self.x, self.target, self.ensemble.fixed)
        return replace(self, scheme=scheme, laws=laws, held=None)

    def on(self, batch: Mapping[str, Array]) -> Setting:
        """The same network and weights with other data."""
        batch = {**self.batch, **batch}
        laws = self.laws and self.laws.on(batch[self.net.x.name], batch["target"])
        return replace(self, batch=batch, laws=laws)

    def with_weights(self, weights: tuple[Weights, ...]) -> Setting:
        """The same with other laws of the weights."""
        return replace(self, laws=replace(self.known, weights=weights))

    def coarse(self) -> Setting:
        """The same with the data taken at their mean: for searches, where speed matters."""
        return replace(self, laws=replace(self.known, data=self.data.mean_case()))


def _floats(net: Network, X: Any) -> Any:
    """Whole numbers that an input of real ones is given, as floats; anything else as it is."""
    if isinstance(X, Mapping) or len(net.xs) > 1 or net.x.whole:
        return X
    array = as_array("X", X)
    return array.astype(float) if array.dtype.kind in "fiub" else array
