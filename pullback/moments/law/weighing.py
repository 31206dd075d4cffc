"""Means and variances of weights and biases: drawn by a scheme, fixed, or as a module has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.interop.measured import Measured, Unchanged, owners
from pullback.ir import Node, Parameter, walk
from pullback.ir.source import bare
from pullback.net.network import Network
from pullback.net.program import compile_program
from pullback.nn import init


@dataclass(frozen=True)
class Weighing:
    """``fixed`` are parameters that no draw changes, ``held`` those of a module as it is."""

    net: Network
    scheme: init.Scheme
    fixed: Mapping[str, Array]
    held: Mapping[str, Array] = field(default_factory=dict)

    def __call__(self, weights: Sequence[Node]) -> tuple[float, float]:
        """Mean and variance of a product of weights; of none it is 1."""
        mean, square = 1.0, 1.0
        for node in weights:
            m, v = self._weight(node)
            mean, square = mean * m, square * (v + m**2)
        return mean, square - mean**2

    def entries(self, parameter: Parameter, index: tuple[slice, ...]) -> tuple[float, float]:
        """Mean and variance of some rows: gates have biases of their own in a module."""
        if (held := self.held.get(parameter.name)) is None:
            return self((parameter,))
        return float(held[index].mean()), float(held[index].var())

    def unchanged(self, node: Node) -> Array | None:
        """The values of a parameter of a module that no draw changes; None of any other."""
        if not isinstance(node, Parameter) or node.name not in self.held:
            return None
        if not isinstance(self.scheme, Measured):
            return None
        law = self.scheme.of_layer(self._owners[node.name])
        return law.values if isinstance(law, Unchanged) else None

    @cached_property
    def _owners(self) -> dict[str, str]:
        return owners(self.net)

    def _weight(self, node: Node) -> tuple[float, float]:
        leaves = [each for each in walk((node,)) if isinstance(each, Parameter)]
        if all(leaf.name in self.fixed for leaf in leaves):
            program = compile_program({"value": node}, "A weight that is given.", leaves=leaves)
            value = program({leaf.name: self.fixed[leaf.name] for leaf in leaves}, {})["value"]
            return float(np.mean(value)), float(np.var(value))
        (leaf,) = leaves if len(leaves) == 1 else (None,)
        if leaf is None or bare(node) is not leaf:
            raise NotApplicableError(f"{', '.join(x.name for x in leaves)} are joined before use")
        spec = next(s for s in self.net.specs if s.name == leaf.name)
        law = self.scheme.of_layer(self._owners[spec.name])
        if not isinstance(self.scheme, Measured):
            law = law.of(spec)
        if spec.kind == "bias":
            return law.bias_mean, law.bias_variance(spec.n_in)
        return law.mean(spec.n_in, spec.n_out), law.variance_of(spec)
