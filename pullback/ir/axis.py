"""Named axes: shared names say what is multiplied, the result's axes say what is summed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pullback.errors import AxisError, ShapeError

PRIME = "′"


@dataclass(frozen=True, slots=True, order=True)
class Axis:
    """One direction of a tensor: a name, and a size where it is known (a batch's is not).

    >>> Axis("units", 25)
    units=25
    """

    name: str
    size: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise AxisError("an axis needs a name")
        if self.size is not None and self.size < 1:
            raise AxisError(f"axis {self.name!r} has size {self.size}; expected at least 1")

    @property
    def primed(self) -> Axis:
        """The second axis of a matrix whose two sides are of one kind: n′ is as long as n."""
        return Axis(self.name + PRIME, self.size)

    @property
    def unprimed(self) -> Axis:
        """The axis that this one is as long as."""
        return Axis(self.name.rstrip(PRIME), self.size)

    def __repr__(self) -> str:
        return self.name if self.size is None else f"{self.name}={self.size}"


Axes = tuple[Axis, ...]


def union(many: Iterable[Axes]) -> Axes:
    """Every axis once; the longest tuple sets the order, so a bias does not turn its layer round.

    >>> b, u = Axis("batch"), Axis("units", 3)
    >>> union([(u,), (b, u)])
    (batch, units=3)
    """
    longest_first = sorted(many, key=len, reverse=True)
    return tuple(dict.fromkeys(axis for axes in longest_first for axis in axes))


def show(axes: Axes) -> str:
    """Axes as they stand in messages: ``(batch, units=25)``."""
    return f"({', '.join(map(repr, axes))})"


def bind(name: str, shape: tuple[int, ...], axes: Axes, sizes: dict[Axis, int]) -> None:
    """Learn the sizes of axes from an array, or raise ShapeError with both sides named."""
    expected = tuple(sizes.get(axis, axis.size) for axis in axes)
    fits = len(shape) == len(axes) and all(
        want is None or want == have for want, have in zip(expected, shape, strict=True)
    )
    if not fits:
        known = tuple(Axis(a.name, size) for a, size in zip(axes, expected, strict=True))
        raise ShapeError(f"{name} has shape {shape}; expected {show(known)}")
    sizes.update(zip(axes, shape, strict=True))
    for axis in axes:
        if axis.name.endswith(PRIME) and sizes.get(axis.unprimed, sizes[axis]) != sizes[axis]:
            raise ShapeError(
                f"{name} has shape {shape}; expected {axis.unprimed.name!r} to be of one length: "
                f"{sizes[axis.unprimed]} or {sizes[axis]}"
            )


def distinct(axes: Axes) -> str | None:
    """What is wrong where one name stands twice among axes, else None."""
    if len({axis.name for axis in axes}) == len(axes):
        return None
    names = Counter(axis.name for axis in axes)
    twice = [name for name, count in names.items() if count > 1]
    same = sorted({axis for axis in axes if axis.name == twice[0]}, key=repr)
    if len(same) > 1:
        return f"axis {twice[0]!r} has two sizes: {show(tuple(same))}"
    return f"axis {twice[0]!r} is used twice in {show(axes)}: rename one of them"
