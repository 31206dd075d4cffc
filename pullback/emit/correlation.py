"""Products that are convolutions: which array has the places, which the positions and the taps.

A convolution, its gradient towards its input and the one towards its weight are one sum of
products, Σ x · weight · y, of which two are given and the third is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from pullback.ir import Axes, Axis, Pattern
from pullback.machine.window.geometry import Side, Spacing


@dataclass(frozen=True)
class ConvolvedForm:
    """The three arrays' axes, in the order that kernels read: None where an array lacks one.

    ``x`` is (groups, inputs, *places, samples), ``weight`` (groups, outputs, inputs, *taps), ``y``
    (groups, outputs, *positions, samples). ``order`` says which of two factors and of the result,
    0, 1 and 2, each of the three is.
    """

    x: tuple[Axis | None, ...]
    weight: tuple[Axis | None, ...]
    y: tuple[Axis | None, ...]
    windows: tuple[Spacing, ...]
    order: tuple[int, int, int]

    @property
    def to(self) -> Side:
        """The side of the array that is asked for."""
        sides: tuple[Side, ...] = ("places", "taps", "positions")
        return sides[self.order.index(2)]


def is_window(pattern: Pattern, factors: Sequence[Axes], over: Axes) -> bool:
    """Does a pattern tie an axis of each of two factors and of the result?"""
    held = [{*axes} & {*pattern.axes} for axes in (*factors, over)]
    return (
        [len(each) for each in held] == [1, 1, 1]
        and len(set().union(*held)) == 3 == len(pattern.axes)
        and len(pattern.equations) == 1
        and not pattern.ranges
    )


def correlation(
    factors: tuple[Axes, Axes], patterns: Sequence[Pattern], over: Axes
) -> ConvolvedForm | None:
    """What convolution the product of two arrays and of windows is, if it is one."""
    sides = (*factors, over)
    found = [_as(order, sides, patterns) for order in permutations(range(3))]
    known = [each for each in found if each is not None]
    return max(known, key=lambda each: all(w.dilation > 0 for w in each.windows), default=None)


def _as(
    order: Sequence[int], sides: Sequence[Axes], patterns: Sequence[Pattern]
) -> ConvolvedForm | None:
    """The convolution with x, the weight and y in this order, if it is one."""
    x, weight, y = (sides[at] for at in order)
    ends = list[tuple[Axis, Axis, Axis]]()
    windows = list[Spacing]()
    # in the order of the weight's axes, which nobody has turned round
    for pattern in sorted(patterns, key=lambda each: [axis in each.axes for axis in weight][::-1]):
        place, tap, position = (
            next(axis for axis in pattern.axes if axis in side) for side in (x, weight, y)
        )
        index = pattern.solved(place)
        if index is None or index.of(position) < 1 or index.lengths:
            return None
        ends.append((place, tap, position))
        windows.append(Spacing(index.of(position), index.of(tap), index.offset))
    moved = {axis for each in ends for axis in each}
    rest = {axis: tuple(axis in side for side in (x, weight, y)) for axis in (*x, *weight, *y)}
    kinds = {(True, True, True): 0, (False, True, True): 1, (True, True, False): 2,
             (True, False, True): 3}  # fmt: skip
    named: list[Axis | None] = [None] * 4
    for axis, where in rest.items():
        if axis in moved:
            continue
        if where not in kinds or named[kinds[where]] is not None:
            return None
        named[kinds[where]] = axis
    groups, outputs, inputs, samples = named
    if samples is None or samples.size is not None:
        return None  # how many samples there are, only the data tell
    places, taps, positions = zip(*ends, strict=True)
    return ConvolvedForm(
        (groups, inputs, *places, samples),
        (groups, outputs, inputs, *taps),
        (groups, outputs, *positions, samples),
        tuple(windows),
        (order[0], order[1], order[2]),
    )


def present(axes: Sequence[Axis | None]) -> Axes:
    """The axes that an array has, of those that a kernel reads."""
    return tuple(axis for axis in axes if axis is not None)
