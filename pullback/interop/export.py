"""A network's forward pass as operations of another library.

One walk for all libraries. An equation that is an operation of the library becomes that; all others
are the steps that every program of ours is made of, each with its counterpart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic

from pullback.emit.lower import lower
from pullback.interop.backend import Backend, V, Whole
from pullback.interop.grouping import grouping
from pullback.interop.steps import Steps
from pullback.interop.windows import convolution, pool
from pullback.ir import Axes, Input, Named, Node, Parameter, walk
from pullback.ir.flow import form as form_of
from pullback.ir.forms import Affine, Lookup, Pointwise
from pullback.ir.lift import lifted
from pullback.ir.unroll import unrolled


@dataclass(frozen=True)
class Operation(Generic[V]):
    """An equation as one operation of a library: of what, and with which axes it comes out."""

    arg: Node
    order: Axes
    out: Axes
    apply: Callable[[V], V]
    whole: Input | None = None  # the argument, if it holds places


class Export(Generic[V]):
    """The walk from the inputs to an output, for one backend.

    ``inputs`` are there whether the output reads them or not: they say how long the batch is.
    Raises ConversionError for what has no counterpart, naming the equation where it stands.
    """

    def __init__(self, backend: Backend[V], inputs: Iterable[Input]) -> None:
        self.backend, self.inputs = backend, list(inputs)

    def __call__(self, output: Node, axes: Axes) -> V:
        """The value of a node with its axes in this order."""
        (output,) = unrolled(output)
        equations = [node for node in walk((output,)) if isinstance(node, Named)]
        known = {each: made for each in equations if (made := self._operation(each))}
        stands: dict[Node, Input] = {
            each: Input(f"{each.name}, equation {at}", each.axes) for at, each in enumerate(known)
        }
        wanted = [each for each in equations if each not in known]
        args = [made.arg for made in known.values()]
        # an output that is no equation is the last of them
        roots = dict(enumerate(lifted([*wanted, *args, output], {**stands})))
        parameters = [node for node in walk((output,)) if isinstance(node, Parameter)]
        leaves: list[Input | Parameter] = [*self.inputs, *parameters]
        program = lower({str(at): root for at, root in roots.items()}, leaves=leaves)
        steps = Steps(self.backend, program, leaves)
        results = dict(zip([*wanted, *known], program.results.values(), strict=False))
        for each in equations:
            steps.place = each.label.place or "model"
            if (made := known.get(each)) is None:
                steps.value(results[each])
                continue
            if made.whole is not None:
                x = steps.value(program.inputs[made.whole.name])
            else:
                x = steps.ordered(results[each], made.order)
            value = steps.turned(made.apply(x), made.out, each.axes)
            steps.give(program.inputs[stands[each].name], value)
        return steps.ordered(program.results[str(len(roots) - 1)], axes)

    def _operation(self, named: Named) -> Operation[V] | None:
        """The one operation that an equation is, if the library has one for it."""
        found = form_of(named)
        if isinstance(found, Affine) and _is_layer(named, found):
            kept = tuple(axis for axis in found.arg.axes if axis not in found.summed)
            order, out = (*kept, *found.summed), (*kept, *_rows(found))
            return self._of(named, found, found.arg, order, out)
        if isinstance(found, Pointwise) and found.arg.axes == named.axes:
            return self._of(named, found, found.arg, named.axes, named.axes)
        if isinstance(found, Lookup) and _is_table(named, found):
            return self._of(named, found, found.index, found.index.axes, named.axes)
        moved = convolution(named) or pool(named) or grouping(named.arg)
        if moved is None:
            return None
        return self._of(named, moved, moved.arg, moved.order, moved.out)

    def _of(
        self, named: Named, form: Whole, arg: Node, order: Axes, out: Axes
    ) -> Operation[V] | None:
        apply = self.backend.operation(named, form)
        whole = arg if isinstance(form, Lookup) and isinstance(arg, Input) else None
        return None if apply is None else Operation(arg, order, out, apply, whole)


def _is_layer(named: Named, layer: Affine) -> bool:
    """Is it x Wᵀ + b over one axis?"""
    rest = {*named.axes} - {*_rows(layer)}
    return (
        layer.is_matrix
        and layer.scale == 1
        and rest == {*layer.arg.axes} - {*layer.summed}
        and (layer.bias is None or layer.bias.axes == layer.weight.axes[:1])
    )


def _is_table(named: Named, found: Lookup) -> bool:
    """Is it rows of a matrix at the places of an input, in the order of both?"""
    index, table = found.index, found.table.axes
    rows = isinstance(index, Input) and len(table) == 2 and table[0] == found.axis
    return rows and named.axes == (*index.axes, table[1])


def _rows(layer: Affine) -> Axes:
    here = dict(layer.names)
    return tuple(here.get(axis, axis) for axis in layer.rows)
