"""What a forecast is about, read off the graph: every z that has a δ, and the way through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from pullback.errors import ConfigError, ConversionError, NotApplicableError
from pullback.interop.formula import block_of
from pullback.ir import Axis, Input, Named, Node, Scalar, symbol
from pullback.ir.axis import show
from pullback.ir.flow import flow
from pullback.ir.forms import Affine, Form, Join, Pointwise
from pullback.ir.source import bare
from pullback.net.inputs import BATCH
from pullback.net.network import Network

IDENTITY = Scalar.of(symbol(0), 1)


@dataclass(frozen=True)
class Layer:
    """One z of the network; ``index`` counts from the input.

    ``n_out`` are the numbers that z holds for a sample, ``n_in`` those that go into one of them.
    ``weight`` and ``bias`` are its parameters by name, where z = W a + b; ``rows`` is then the axis
    of its units.
    """

    index: int
    name: str
    equation: Named
    n_in: int
    n_out: int
    activation: str = ""
    arg: Node | None = None
    weight: str | None = None
    bias: str | None = None
    rows: Axis | None = None


@dataclass(frozen=True)
class Applied:
    """a = φ(z) on every unit; neighbours are merged into one function."""

    function: Scalar
    label: str

    def of(self, before: Applied) -> Applied:
        """This one after another."""
        both = self.function.expr.subs(symbol(0), before.function.expr)
        return Applied(Scalar.of(both, 1), f"{self.label} of {before.label}")


@dataclass(frozen=True)
class Branch:
    """h + scale · inner(h)."""

    scale: float
    inner: tuple[Op, ...]


Op = Layer | Applied | Branch


@dataclass(frozen=True)
class Structure:
    """A network that the laws are for: operations, input side first.

    ``head`` stands before the first of them, ``tail`` is the activation after the last layer.
    """

    ops: tuple[Op, ...]
    head: Applied | None
    tail: Applied

    @property
    def affines(self) -> tuple[Layer, ...]:
        """The layers, in the order of ``index``."""
        return tuple(op for op in _every(self.ops) if isinstance(op, Layer))

    @property
    def activations(self) -> tuple[Applied, ...]:
        """The different hidden activations."""
        return tuple(dict.fromkeys(op for op in _every(self.ops) if isinstance(op, Applied)))

    @property
    def outputs(self) -> int:
        """How many outputs the model has."""
        return self.affines[-1].n_out

    def chain(self) -> tuple[tuple[Layer, Applied], ...]:
        """Each layer with the activation after it, where the network is a plain chain.

        Raises NotApplicableError where it is none.
        """
        if isinstance(self.ops[0], Applied) or any(isinstance(op, Branch) for op in self.ops):
            raise NotApplicableError("it is for plain chains that begin with a Linear, no skips")
        pairs: list[tuple[Layer, Applied]] = []
        for op in self.ops:
            if isinstance(op, Layer):
                pairs.append((op, NOTHING))
            elif isinstance(op, Applied):
                pairs[-1] = (pairs[-1][0], op)
        pairs[-1] = (pairs[-1][0], self.tail)
        return tuple(pairs)


@lru_cache(maxsize=256)
def called(function: Scalar) -> str:
    """What an activation with this function is called."""
    try:
        return repr(block_of(function.expr))
    except ConversionError:  # a constant
        return f"Activation(formula={str(function)!r})"


NOTHING = Applied(IDENTITY, "Identity()")


def _every(ops: Sequence[Op]) -> Iterator[Layer | Applied]:
    for op in ops:
        if isinstance(op, Branch):
            yield from _every(op.inner)
        else:
            yield op


class LawReading:
    """The equations of a model as its blocks build it: what cancels later still stands in it.

    ``sizes`` are the lengths of the axes that only the data tell.
    """

    def __init__(self, net: Network, sizes: Mapping[Axis, int]) -> None:
        self.net, self.sizes = net, sizes
        self.output = bare(net.built)
        self.graph = net.built_graph
        self.forms = flow(self.graph)
        zs = (each for each in self.graph.equations if each.role == "z" and BATCH in each.axes)
        self.layers = tuple(self._layer(at, each) for at, each in enumerate(zs))
        if not self.layers:
            raise ConfigError(
                f"{net.model!r} has no Linear and no other equation z: there is no δ to forecast"
            )

    def _layer(self, at: int, equation: Named) -> Layer:
        form, name, n_out = self.forms[equation], equation.label.place, self._entries(equation)
        readers = [self.forms[each] for each in self.graph.readers(equation)]
        follows = readers[0] if len(readers) == 1 else None
        label = called(follows.function) if isinstance(follows, Pointwise) else "–"
        if not isinstance(form, Affine):
            n_in = sum(self._entries(each) for each in form.args)
            return Layer(at, name, equation, n_in, n_out, label)
        here = dict(form.names)
        rows = [here.get(axis, axis) for axis in form.rows] if form.is_matrix else []
        bias = form.bias.name if form.bias else None
        parts = (form.arg, form.weight.name, bias, rows[0] if rows else None)
        return Layer(at, name, equation, form.n_in, n_out, label, *parts)

    def _entries(self, node: Node) -> int:
        """How many numbers of a node belong to one sample."""
        axes = [axis for axis in node.axes if axis != BATCH]
        if unknown := [axis for axis in axes if not (axis.size or self.sizes.get(axis))]:
            raise NotApplicableError(
                f"the length of {show(tuple(unknown))} is not known before the network runs; say "
                "the input's sizes, as in Network(…, x='features=8')"
            )
        return prod(axis.size or self.sizes[axis] for axis in axes)

    def structure(self) -> Structure:
        """The network as the laws read it.

        Raises NotApplicableError, with the reason, where no law is known.
        """
        xs = list(self.net.xs.values())
        if len(xs) > 1:
            raise NotApplicableError(f"it has the inputs {', '.join(self.net.xs)}")
        if xs[0].whole:
            raise NotApplicableError("its input holds whole numbers")
        if len(xs[0].axes) != 2 or len(self.output.axes) != 2:
            raise NotApplicableError(
                f"its laws are for (batch, features), and here {show(xs[0].axes)} becomes "
                f"{show(self.output.axes)}"
            )
        for parameter in self.net.parameters.values():
            if len(self.graph.readers(parameter)) > 1:
                raise NotApplicableError(f"{parameter.name} is used more than once")
        ops = self._between(xs[0], self.output)
        first, last = ops[0], ops[-1]
        head = first if isinstance(first, Applied) else None
        tail = last if isinstance(last, Applied) else NOTHING
        found = Structure(tuple(op for op in ops if op is not head and op is not tail), head, tail)
        for layer in self.layers:
            if layer not in found.affines:
                raise NotApplicableError(f"{layer.equation.name} is not a Linear")
        return found

    def _between(self, start: Node, end: Node) -> list[Op]:
        """The operations from one equation to another, backwards along the only way."""
        found: list[Op] = []
        while end is not start:
            if isinstance(end, Input):
                raise NotApplicableError(f"{end.name} is read in more than one place")
            if not isinstance(end, Named):
                raise NotApplicableError("its output is not an equation with a name")
            form = self.forms[end]
            before, op = self._op(end, form)
            if found and isinstance(op, Applied) and isinstance(found[0], Applied):
                found[0] = found[0].of(op)
            else:
                found.insert(0, op)
            end = before
        return found

    def _op(self, end: Named, form: Form) -> tuple[Node, Op]:
        if isinstance(form, Pointwise):
            return form.arg, Applied(form.function, called(form.function))
        if isinstance(form, Affine):
            layer = next((each for each in self.layers if each.equation is end), None)
            if layer is not None and form.is_matrix and form.scale == 1 and self._is_drawn(form):
                return form.arg, layer
        elif isinstance(form, Join) and len(form.args) == 2 and form.weights is not None:
            for at, (kept, added) in enumerate((form.args, form.args[::-1])):
                kept_share, share = form.weights[at], form.weights[1 - at]
                if kept_share == 1 and self.graph.between(kept, added).nodes:
                    return kept, self._branch(share, self._between(kept, added))
        raise NotApplicableError(f"{end.name} is not a Linear, an activation or a skip")

    def _branch(self, share: float, inner: list[Op]) -> Op:
        (only, *more) = inner
        if more or not isinstance(only, Applied):
            return Branch(share, tuple(inner))
        both = Scalar.of(symbol(0) + share * only.function.expr, 1)
        return Applied(both, called(both))

    def _is_drawn(self, form: Affine) -> bool:
        """Do its parameters start as weights and biases do?"""
        kinds = {spec.name: spec.kind for spec in self.net.specs}
        bias = form.bias is None or kinds[form.bias.name] == "bias"
        return kinds[form.weight.name] == "weight" and bias

    def behind(self) -> dict[int, tuple[int, ...]]:
        """For each layer that some way from an input to the output leaves out, those behind it.

        Behind it are the layers from which every way to the output passes it.
        """
        common = [set(self.graph.between(x, self.output).cuts) for x in self.net.xs.values()]
        passed = {
            each.index: set(self.graph.between(each.equation, self.output).cuts)
            for each in self.layers
        }
        return {
            one.index: tuple(
                each.index
                for each in self.layers
                if each is not one and one.equation in passed[each.index]
            )
            for one in self.layers
            if any(one.equation not in cuts for cuts in common)
        }
