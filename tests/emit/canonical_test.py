"""Units in canonical form: equal where they do the same, and the same work as before."""

from itertools import product

import numpy as np
import pytest

from pullback.emit.nest.canonical import Canonical, joined
from pullback.emit.nest.language import Multiply, Nest, Statement
from pullback.emit.nest.layout import Spot, blocks_of, strides_of
from pullback.ir import Axis, Index, symbol
from pullback.ir.pattern import Range

BATCH = Axis("batch")


def spot(array, axes, **more):
    return Spot(array, tuple(zip(axes, strides_of(axes), strict=True)), **more)


def biased(layer, turned=False):
    """z = t + b under the names of a layer, with its symbols in either order."""
    axes = (BATCH, Axis(f"units.{layer}", 12))
    t, b = (spot(f"{name}{layer}", over) for name, over in (("t", axes), ("b", axes[1:])))
    x, y = (symbol(7), symbol(3)) if turned else (symbol(3), symbol(7))
    reads = sorted(((x, t), (y, b)), key=lambda read: str(read[0]))
    return Nest(
        axes, (), [Statement(f"z{layer}", spot(f"z{layer}", axes), x + 2 * y, tuple(reads))]
    )


def test_the_same_under_other_names_is_one():
    assert Canonical.of(biased(0)).key == Canonical.of(biased(1, turned=True)).key


def test_arrays_are_called_by_number():
    form = Canonical.of(biased(0))
    assert {*form.arrays} == {"t0", "b0", "z0"}
    assert {place.array for place in (*form.unit.reads, *form.unit.writes)} == {
        *form.arrays.values()
    }


def test_parts_of_an_array_are_one_and_begin_elsewhere():
    features, units = Axis("features", 5), Axis("units", 4)
    forms = []
    for part in range(3):
        weight = spot("W", (units, features), offset=part * 20)
        out, x = spot(f"q{part}", (BATCH, units)), spot("x", (BATCH, features))
        unit = Multiply(f"q{part}", out, x, weight, (BATCH, units), (features,))
        forms.append(Canonical.of(unit))
    assert len({form.key for form in forms}) == 1
    assert [form.begins.get("W", 0) for form in forms] == [0, 20, 40]


@pytest.mark.parametrize("change", [
    dict(kind="add"), dict(expr=symbol(3) + symbol(7)), dict(into=spot("z0", (BATCH,))),
])  # fmt: skip
def test_what_does_something_else_is_not_the_same(change):
    other = biased(0)
    (made,) = other.statements
    fields = dict(name=made.name, into=made.into, expr=made.expr, reads=made.reads)
    other.statements = [Statement(**{**fields, **change})]
    assert Canonical.of(other).key != Canonical.of(biased(0)).key


def offsets(nest):
    """Where each turn of a nest reads and writes, and which ranges hold there."""
    axes = sorted(nest.loops, key=lambda axis: axis.name)
    found = []
    for indices in product(*(range(axis.size or 3) for axis in axes)):
        at = dict(zip(axes, indices, strict=True))
        turn = []
        for place in (*nest.reads, *nest.writes):
            offset = place.offset + sum(step * at[axis] for axis, step in place.strides)
            held = [
                each.index.offset + sum(c * at[axis] for axis, c in each.index.terms)
                for each in place.within
            ]
            turn.append((place.array, offset, *held))
        found.append(tuple(turn))
    return sorted(found)


@pytest.mark.parametrize("seed", range(30))
def test_a_joined_nest_does_what_the_nest_did(seed):
    rng = np.random.default_rng(seed)
    axes = tuple(
        Axis(name, int(size)) for name, size in zip("abcd", rng.integers(1, 4, 4), strict=True)
    )
    lying = blocks_of if rng.random() < 0.5 else lambda over, lanes: strides_of(over)
    places = []
    for name in "xyz":
        over = tuple(axis for axis in (BATCH, *axes) if name == "z" or rng.random() < 0.7)
        steps = lying(over, 4)
        within = ()
        if rng.random() < 0.3 and len(over) > 1:
            index = Index(tuple(zip(over[1:], steps[1:], strict=True)), 1)
            within = (Range(index, 2, None),)
        places.append(Spot(name, tuple(zip(over, steps, strict=True)), 0, within))
    x, y, z = places
    reads = ((symbol(0), x), (symbol(1), y))
    nest = Nest((BATCH, *axes), (), [Statement("z", z, symbol(0) * symbol(1), reads)])
    apart = [axis for axis in axes if rng.random() < 0.2]
    found = joined(nest, apart)
    assert {BATCH, *apart} <= {*found.axes}
    assert offsets(found) == offsets(nest)
