"""Factors that a loop holds: a matrix that every turn multiplies with is brought into order once.

A product reads the columns of its right factor in strips, each from one end to the other. A factor
that no turn changes is copied so before the loop; each turn would have to copy it, or read it where
its rows lie apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pullback.emit.nest.language import Multiply, Nest, Repeat, Statement
from pullback.emit.nest.layout import ArrayLayout, Spot
from pullback.emit.nest.multiply import Shape
from pullback.ir import Axis, Index, symbol
from pullback.ir.pattern import Range
from pullback.machine.blas.matmul_code import strip_width


def holding(loop: Repeat, layout: ArrayLayout) -> Iterator[Nest | Repeat]:
    """A loop that holds its factors in strips, behind the copies that it reads."""
    made = {place.array for place in loop.writes}
    units = list[Nest | Multiply]()
    for unit in loop.units:
        turned = _turned(unit, loop.batch) if isinstance(unit, Multiply) else None
        if turned and turned.right.array not in made and _fits(turned, loop):
            copy, unit = _in_strips(turned, loop.batch, layout)
            yield copy
        units.append(unit)
    yield replace(loop, units=tuple(units))


def _turned(unit: Multiply, batch: Axis) -> Multiply:
    """The product with the factor without samples on the right."""
    if unit.left.stride(batch):
        return unit
    return replace(unit, left=unit.right, right=unit.left)


def _fits(unit: Multiply, loop: Repeat) -> bool:
    """Is the right factor a matrix that is the same in each turn, and all of it read in one?"""
    right, shape = unit.right, Shape.of(unit, loop.batch)
    axes = {*shape.columns.axes, *shape.depth.axes}
    if not shape.columns.axes or not shape.depth.axes or shape.more:
        return False
    if right.within or right.looked or loop.along.size == 1:
        return False
    one_by_one = unit.out.stride(shape.columns.axes[-1]) == 1
    return one_by_one and all(axis in axes for axis, _ in right.strides)


def _in_strips(unit: Multiply, batch: Axis, layout: ArrayLayout) -> tuple[Nest, Multiply]:
    """The copy of a product's right factor, and the product that reads it."""
    shape, right, width = Shape.of(unit, batch), unit.right, strip_width(layout.lanes)
    n, depth = (run.size(1) for run in (shape.columns, shape.depth))
    name = f"{right.array} for {unit.name}"  # no identifier has a space
    strip, step, lane = Axis("strips", -(-n // width)), Axis("depth", depth), Axis("columns", width)
    far, on = (right.stride(run.axes[-1]) for run in (shape.depth, shape.columns))
    column = Index(((strip, width), (lane, 1)))
    source = Spot(
        right.array,
        ((strip, width * on), (step, far), (lane, on)),
        right.offset,
        (Range(column, None, n - 1),) if n % width else (),
    )
    axes = (strip, step, lane)
    layout.arrays[name] = axes
    place = Spot(name, ((strip, depth * width), (step, width), (lane, 1)))
    copied = Nest(axes, (), [Statement(name, place, symbol(0), ((symbol(0), source),))])
    return copied, replace(unit, in_strips=place)
