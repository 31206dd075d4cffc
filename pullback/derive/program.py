"""The programs that a network's derivation speaks of: one sample's loss, and the batch's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pullback.calculus import gradients
from pullback.derive.formula.notation import Convention, Notation
from pullback.derive.formula.symbols import number_layers
from pullback.derive.steps.affine import affine, own_layers, pointwise
from pullback.derive.steps.equations import FORWARD, Equation, equations, needed
from pullback.ir import Axis, Input, Named, Node, Parameter, simplify
from pullback.ir.build import sum_over
from pullback.net.network import Network


@dataclass(frozen=True)
class Program:
    """Equations in one convention, and which layer each belongs to."""

    equations: tuple[Equation, ...]
    convention: Convention
    leaves: tuple[Input | Parameter, ...] = ()
    samples: bool = False

    @cached_property
    def notation(self) -> Notation:
        return Notation(self.equations, self.convention, self.samples, self.leaves)

    @property
    def batch(self) -> Axis | None:
        return self.notation.batch

    @cached_property
    def by_name(self) -> dict[str, Named]:
        return {each.name: each.node for each in self.equations}

    @cached_property
    def loss(self) -> Named:
        (found,) = (each.node for each in self.equations if each.role == "loss")
        return found

    @cached_property
    def layers(self) -> dict[str, int]:
        """The layer's number of every equation and parameter, by name."""
        number = number_layers([each.node for each in self.equations])
        found = {node.name: at for node, at in number.items() if node.role in FORWARD}
        for each in self.equations:
            if each.role == "z" and (parts := affine(each.node.arg)):
                found |= {p.name: found[each.name] for p in parts if isinstance(p, Parameter)}
        for each in self.equations:
            head, _, path = each.name.partition(".")
            if head == "delta":
                found[each.name] = found.get(f"z.{path}", found.get(path, 0))
            elif head == "gradient" and path in found:
                found[each.name] = found[path]
        return found

    def role(self, *roles: str) -> list[Equation]:
        """The equations that play one of these parts, in order."""
        return [each for each in self.equations if each.role in roles]

    @cached_property
    def users(self) -> dict[Named, tuple[Named, ...]]:
        """For each quantity on a way to the loss, the equations on such a way that read it."""
        forward = [each.node for each in self.role(*FORWARD, "loss")]
        reaching = {self.loss}
        for node in reversed(forward):
            if node in reaching:
                reaching.update(needed(node))
        found: dict[Named, tuple[Named, ...]] = {n: () for n in forward if n in reaching}
        for user in found:
            for node in needed(user):
                found[node] = (*found[node], user)
        return found

    @cached_property
    def is_chain(self) -> bool:
        """Is each quantity read once, and each layer a W x + b of its own, functions behind it?"""
        layers = own_layers(self.equations)
        path = [node for node in self.users if node is not self.loss]
        return all(
            len(self.users[node]) == 1
            and (node in layers if node.role == "z" else pointwise(node) is not None)
            for node in path
        )


def sample_program(net: Network, convention: Convention) -> Program:
    """The loss of one sample, unreduced and without penalty, and its gradients."""
    each = net.criterion.per_sample(net.output, net.target)
    total = Named("sample_loss", sum_over(each, each.axes), "loss")
    output, loss = simplify(net.output, total)
    found = gradients(loss, net.parameters.values(), beside=(output,))
    roots = (output, loss, *named_gradients(net.parameters, found), *net.idle)
    return Program(equations(roots), convention, leaves_of(net))


def batch_program(net: Network, convention: Convention, samples: bool) -> Program:
    """The loss that the network trains on, and its gradients."""
    return Program(equations(net.equations.values()), convention, leaves_of(net), samples)


def leaves_of(net: Network) -> tuple[Input | Parameter, ...]:
    """What has a symbol whether an equation reads it or not."""
    return (net.x, net.target, *net.parameters.values())


def named_gradients(names: Iterable[str], found: Sequence[Node]) -> list[Named]:
    """Each gradient as an equation of its own."""
    return [
        Named(f"gradient.{name}", node, "gradient") for name, node in zip(names, found, strict=True)
    ]
