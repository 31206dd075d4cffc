"""A network with norms, skips or another activation put in: what would help, to be measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pullback.ir import Axes, Graph, Named, Node, Rename, Scalar
from pullback.ir.build import add, scalar_map
from pullback.ir.flow import flow
from pullback.ir.forms import Affine, Pointwise
from pullback.ir.lift import lifted
from pullback.ir.weights import weights
from pullback.ir.window import Window
from pullback.net.inputs import BATCH
from pullback.net.network import Network
from pullback.nn import Block, Scope
from pullback.nn.norm import normalised, statistics

# what an equation becomes, as it is built with what came before it changed; that, by its names
Change = Callable[[Named, Mapping[str, Node]], Node]
_EPS = 1e-5


@dataclass(frozen=True)
class Changed(Block):
    """A model with some of its equations changed; its parameters are the same."""

    model: Block
    changes: Mapping[str, Change]

    def build(self, x: Node, at: Scope) -> Node:
        built = at.build(self.model, x)
        if at.declarations.outline:
            return built  # it is about axes and parameters, and those are the same
        updates = at.declarations.updates
        changed = _rewritten({**updates, "output": built}, self.changes)
        for name in updates:
            node = changed[name]
            assert isinstance(node, Named)
            updates[name] = node
        return changed["output"]


def _rewritten(roots: Mapping[str, Node], changes: Mapping[str, Change]) -> dict[str, Node]:
    done: dict[Node, Node] = {}
    by_name: dict[str, Node] = {}
    for equation in Graph(roots, BATCH).equations:
        (node,) = lifted([equation], done)
        assert isinstance(node, Named)
        if equation.name in changes:
            node = changes[equation.name](node, by_name)
        done[equation] = by_name[equation.name] = node
    return dict(zip(roots, lifted(roots.values(), done), strict=True))


def with_norms(net: Network) -> Network | None:
    """A norm after each hidden layer; None where there is none that has two units.

    It is over the units of a Linear, as LayerNorm, and over all entries of a convolution's sample,
    as GroupNorm of one group.
    """
    forms = flow(net.built_graph)
    changes: dict[str, Change] = {}
    for z in _hidden(net):
        form = forms[z]
        axes = tuple(axis for axis in z.axes if axis != BATCH)
        if isinstance(form, Affine):
            axes = tuple(axis for axis in form.units if axis in axes)
        if not isinstance(form, Affine | Window) or all(axis.size == 1 for axis in axes):
            continue

        changes[z.name] = _normed(axes)
    return _network(net, changes)


def with_skips(net: Network) -> Network | None:
    """A skip around each layer with its activation; None where no two have the same axes."""
    forms = flow(net.built_graph)
    hidden = set(_hidden(net))
    changes: dict[str, Change] = {}
    for equation, form in forms.items():
        z = form.arg if isinstance(form, Pointwise) else None
        layer = forms[z] if isinstance(z, Named) and z in hidden else None
        if not isinstance(layer, Affine | Window):
            continue
        sizes = [[axis.size for axis in each.axes] for each in (layer.arg, equation)]
        if sizes[0] != sizes[1] or not isinstance(layer.arg, Named):
            continue
        changes[equation.name] = _added(layer.arg)
    return _network(net, changes)


def with_activation(net: Network, function: Scalar, instead_of: Scalar) -> Network | None:
    """Another activation after each hidden layer that has the one; None where none has."""
    hidden = set(_hidden(net))
    changes: dict[str, Change] = {}
    for equation, form in flow(net.built_graph).items():
        if not isinstance(form, Pointwise) or form.function != instead_of:
            continue
        if isinstance(form.arg, Named) and form.arg in hidden:
            changes[equation.name] = _applied(function, form.arg)
    return _network(net, changes)


def activations(net: Network) -> tuple[Scalar, ...]:
    """The functions that stand behind hidden layers."""
    hidden, forms = set(_hidden(net)), flow(net.built_graph).values()
    found = [f.function for f in forms if isinstance(f, Pointwise) and f.arg in hidden]
    return tuple(dict.fromkeys(found))


def _hidden(net: Network) -> list[Named]:
    """Every z = W a + b with another one behind it."""
    found = [z for z in net.built_graph.equations if z.role == "z" and weights(z)]
    return found[:-1]


def _normed(axes: Axes) -> Change:
    def change(z: Named, now: Mapping[str, Node]) -> Node:
        at = Scope(z.label.place).inside("norm")
        found = statistics(z, axes, at, _EPS)
        return at.a(normalised(z, found.mean, found.inverse))

    return change


def _applied(function: Scalar, arg: Named) -> Change:
    def change(a: Named, now: Mapping[str, Node]) -> Node:
        return Named(a.label, scalar_map(function.expr, now[arg.name]))

    return change


def _added(arg: Named) -> Change:
    def change(a: Named, now: Mapping[str, Node]) -> Node:
        before = now[arg.name]
        pairs = zip(before.axes, a.axes, strict=True)
        return add(a, Rename(before, tuple((old, new) for old, new in pairs if old != new)))

    return change


def _network(net: Network, changes: Mapping[str, Change]) -> Network | None:
    if not changes:
        return None
    model = Changed(net.model, changes)
    return Network(model, net.criterion, x=net.declared, training=net.training)
