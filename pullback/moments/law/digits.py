"""The digits of an index: what is left of it where axes are merged, and split in another way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from pullback.ir import Axes, Axis, Index, Node, Pattern


class Digits:
    """The digits of what a term reads, under names of their own, and of what only renames them.

    A reshape makes an axis of the result, or of a weight, of the digits of another; where it cuts
    through one, that is split.
    """

    def __init__(
        self, read: Node | None, digits: Mapping[Axis, Axes], kept: Axes, batch: Axis | None
    ) -> None:
        self._kept: set[Axis] = set()
        self._cut: dict[Axis, Axes] = {}
        self._made: dict[Axis, Axes] = {}
        fresh: dict[Axis, Axis] = {}
        for axis in read.axes if read is not None else ():
            if axis == batch:
                continue
            for digit in digits[axis]:
                fresh[digit] = Axis(f"{digit.name}›", digit.size)
                if digit in kept:
                    self._kept.add(fresh[digit])
            self._made[axis] = tuple(fresh[digit] for digit in digits[axis])
        self._kept_first = tuple(fresh[digit] for digit in kept if digit in fresh)
        self._first = tuple(fresh.values())

    @property
    def atoms(self) -> Axes:
        """All digits that are read."""
        return tuple(atom for first in self._first for atom in self._pieces(first))

    @property
    def split(self) -> tuple[Axes, ...]:
        """Of each kept digit in its order, what it is split into."""
        return tuple(map(self._pieces, self._kept_first))

    def kept(self, atom: Axis) -> bool:
        """Has it a place of its own?"""
        return atom in self._kept

    def has(self, axis: Axis) -> bool:
        """Is an axis made of what is read?"""
        return axis in self._made

    def of(self, axis: Axis) -> Axes:
        """The digits of an axis that is made of what is read."""
        return tuple(atom for digit in self._made[axis] for atom in self._pieces(digit))

    def _pieces(self, digit: Axis) -> Axes:
        if digit not in self._cut:
            return (digit,)
        return tuple(atom for piece in self._cut[digit] for atom in self._pieces(piece))

    def substituted(self, pattern: Pattern) -> Pattern:
        """The pattern of digits in place of the axes that are made of what is read."""
        for axis in pattern.axes:
            if axis in self._made:
                pattern = pattern.where(axis, _number(self.of(axis)))
        return pattern

    def renames(self, pattern: Pattern) -> bool:
        """Does it only name the same places otherwise, which is remembered?

        It does if its one equation says that two numbers written in digits are the same.
        """
        if len(pattern.equations) != 1 or pattern.ranges or pattern.equations[0].offset:
            return False
        here = self.substituted(pattern)
        (equation,) = here.equations
        atoms = {*self.atoms}
        ours = _radix([(a, abs(c)) for a, c in equation.terms if a in atoms])
        theirs = _radix([(a, abs(c)) for a, c in equation.terms if a not in atoms])
        signs = {(c > 0) == (a in atoms) for a, c in equation.terms}
        idle = [a for a in here.axes if a not in equation.axes and a.size != 1]
        if ours is None or theirs is None or len(signs) > 1 or idle or not ours:
            return False
        cut = _refined([a.size or 1 for a in ours], [a.size or 1 for a in theirs])
        if cut is None or any(axis in self._made for axis in theirs):
            return False
        pieces: dict[Axis, list[Axis]] = {axis: [] for axis in (*ours, *theirs)}
        for one, other, size in cut:
            whole = ours[one]
            atom = whole
            if size != whole.size:
                atom = Axis(f"{whole.name}{len(pieces[whole])}", size)
                if whole in self._kept:
                    self._kept.add(atom)
            pieces[whole].append(atom)
            pieces[theirs[other]].append(atom)
        self._cut |= {a: tuple(pieces[a]) for a in ours if pieces[a] != [a]}
        self._made |= {a: tuple(pieces[a]) for a in theirs}
        return True


def _number(digits: Axes) -> Index:
    """The index that digits spell, the first one the greatest."""
    found, stride = Index(), 1
    for digit in reversed(digits):
        found, stride = found + stride * Index.on(digit), stride * (digit.size or 1)
    return found


def _radix(terms: Sequence[tuple[Axis, int]]) -> list[Axis] | None:
    """Axes by place, the greatest first, where their multiples are those of a number in digits."""
    order = sorted(terms, key=lambda term: -term[1])
    sizes = [axis.size or 1 for axis, _ in order]
    strides = [prod(sizes[at + 1 :]) for at in range(len(sizes))]
    return [axis for axis, _ in order] if [c for _, c in order] == strides else None


def _refined(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int, int]] | None:
    """The digits of which both numbers are made: places in both, and the size; greatest first."""
    if prod(one) != prod(other):
        return None
    found: list[tuple[int, int, int]] = []
    left, right = [*one], [*other]
    a, b = len(one) - 1, len(other) - 1
    while True:
        while a >= 0 and left[a] == 1:
            a -= 1
        while b >= 0 and right[b] == 1:
            b -= 1
        if a < 0 or b < 0:
            return found[::-1]
        size = min(left[a], right[b])
        if left[a] % size or right[b] % size:
            return None
        found.append((a, b, size))
        left[a], right[b] = left[a] // size, right[b] // size
