"""The programs that a network's derivation speaks of: one sample's loss, and the batch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pullback.calculus import gradients
from pullback.derive.formula.notation import Convention, Notation
from pullback.derive.formula.symbols import number_layers
from pullback.derive.steps.affine import layer_of, own_layers, parameters
from pullback.derive.steps.equations import FORWARD, Equation, equations, forward, spoken_of
from pullback.ir import Axis, Graph, Input, Named, Node, Parameter, simplify
from pullback.ir.build import mean_over, sum_over
from pullback.ir.flow import form
from pullback.ir.forms import Affine, Pointwise
from pullback.net.network import Network


@dataclass(frozen=True)
class DerivedProgram:
    """Equations in one convention, and which layer each belongs to."""

    equations: tuple[Equation, ...]
    convention: Convention
    inputs: tuple[Input, ...]
    leaves: tuple[Input | Parameter, ...] = ()
    samples: bool = False
    single: bool = False  # is it of one sample?

    @cached_property
    def notation(self) -> Notation:
        given = self.equations, self.convention, self.samples, self.leaves
        return Notation(*given, single=self.single)

    @property
    def batch(self) -> Axis | None:
        return self.notation.batch

    @cached_property
    def by_name(self) -> dict[str, Named]:
        return {each.name: each.node for each in self.equations}

    @cached_property
    def graph(self) -> Graph:
        """The forward pass."""
        return forward(self.equations)

    @cached_property
    def loss(self) -> Named:
        (found,) = (each.node for each in self.equations if each.role == "loss")
        return found

    @cached_property
    def own(self) -> dict[Named, Affine]:
        """The layers W x + b that share no parameter."""
        return own_layers(self.graph)

    @cached_property
    def layers(self) -> dict[str, int]:
        """The layer's number of every equation and parameter, by name."""
        number = number_layers([each.node for each in self.equations])
        found = {node.name: at for node, at in number.items() if node.role in FORWARD}
        for each in self.equations:
            if (layer := layer_of(each.node)) is not None:
                found |= {p.name: found[each.name] for p in parameters(layer)}
        for each in self.equations:
            label = each.node.label
            if each.role == "delta":
                found[each.name] = found.get(str(label.origin), 0)
            elif each.role == "gradient" and label.place in found:
                found[each.name] = found[label.place]
        return found

    def role(self, *roles: str) -> list[Equation]:
        """The equations that play one of these parts, in order."""
        return [each for each in self.equations if each.role in roles]

    @cached_property
    def users(self) -> dict[Named, tuple[Named, ...]]:
        """For each quantity on a way to the loss, the equations on such a way that read it."""
        reaching = Graph({"loss": self.loss})
        on_way = [node for node in self.graph.equations if node in reaching.by_name.values()]
        readers: dict[str, list[Named]] = {node.name: [] for node in on_way}
        for each in reaching.equations:
            for node in spoken_of(each):
                readers[node.name].append(each)
        return {node: tuple(readers[node.name]) for node in on_way}

    @cached_property
    def is_chain(self) -> bool:
        """Is each quantity read once, and each layer a W x + b of its own, functions behind it?"""
        path = [node for node in self.users if node is not self.loss]
        return all(
            len(self.users[node]) == 1
            and (node in self.own if node.role == "z" else isinstance(form(node), Pointwise))
            for node in path
        )


def sample_loss(net: Network, output: Node, target: Input) -> Node:
    """The loss of one sample: what the batch's is the mean or the sum of, without penalty.

    Where the batch's mean is divided by weights of the targets, it is what stands above the line.
    """
    loss = net.criterion
    each = loss.per_sample(output, target)
    rest = tuple(axis for axis in each.axes if axis != target.axes[0])
    averaged = loss.reduction == "mean" and not loss.is_weighted
    reduced = (mean_over if averaged else sum_over)(each, rest)
    return sum_over(reduced, reduced.axes)


def sample_program(net: Network, convention: Convention) -> DerivedProgram:
    """The loss of one sample and its gradients."""
    total = Named("sample_loss", sample_loss(net, net.output, net.target), "loss")
    output, loss = simplify(net.output, total)
    found = gradients(loss, net.trained_leaves.values(), beside=(output,))
    specs = [spec for spec in net.specs if spec.trained]
    named = [
        Named(spec.place.gradient(spec.place.part), node)
        for spec, node in zip(specs, found, strict=True)
    ]
    return _program(net, (output, loss, *named, *net.idle), convention, single=True)


def batch_program(net: Network, convention: Convention, samples: bool) -> DerivedProgram:
    """The loss that the network trains on, its gradients, and what its states become."""
    roots = (*net.equations.values(), *net.updates.values())
    return _program(net, roots, convention, samples)


def _program(
    net: Network,
    roots: Sequence[Node],
    convention: Convention,
    samples: bool = False,
    single: bool = False,
) -> DerivedProgram:
    inputs = tuple(net.xs.values())
    # what has a symbol whether an equation reads it or not
    leaves: tuple[Input | Parameter, ...] = (*net.inputs, *net.parameters.values())
    return DerivedProgram(equations(roots), convention, inputs, leaves, samples, single)
