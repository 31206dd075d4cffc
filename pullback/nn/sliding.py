"""How windows go along axes: kernel, stride, dilation, padding, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pullback.errors import ConfigError, ShapeError, shown, whole
from pullback.ir import Axes, Axis, Node
from pullback.ir.axis import show
from pullback.nn.block import Block
from pullback.nn.scope import Scope

Numbers = int | tuple[int, ...]


@dataclass(frozen=True)
class Sliding:
    """A window of ``kernel`` taps along one axis, with zeros ``before`` and ``after`` it."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def reach(self) -> int:
        """From its first tap to its last."""
        return self.dilation * (self.kernel - 1) + 1

    def count(self, length: int, ceil: bool = False) -> int:
        """How many windows there are; below 1 where the kernel is the longer.

        With ``ceil`` the last may hang over, if it does not start in the padding behind.
        """
        room = length + self.before + self.after - self.reach
        if not ceil:
            return room // self.stride + 1
        found = -(-room // self.stride) + 1
        return found - 1 if (found - 1) * self.stride >= length + self.before else found

    def spread(self, length: int) -> int:
        """How long the output of its transpose is for so many windows."""
        return (length - 1) * self.stride + self.reach - self.before - self.after


def each_way(block: Block, name: str, value: Any, n: int, least: int = 1) -> tuple[int, ...]:
    """One whole number for each direction: the same for all, or a tuple of them.

    Raises ConfigError for what is neither.
    """
    what = f"{type(block).__name__}: {name}"
    given = (value,) * n if not isinstance(value, (tuple, list)) else tuple(value)
    if len(given) != n:
        raise ConfigError(f"{what} is {shown(value)}; expected a whole number, or {n} of them")
    also = "" if n == 1 else f", or {n} of them"
    return tuple(whole(what, each, least, also) for each in given)


def places(block: Block, x: Node, names: tuple[str, ...], at: Scope) -> Axes:
    """The axes of known length that the windows go along.

    Raises ShapeError where x has other axes.
    """
    form = ", ".join(("batch", "channels", *names))
    if len(x.axes) != 2 + len(names):
        raise ShapeError(f"{block!r} at {at.where} needs the axes ({form}), found {show(x.axes)}")
    for axis in x.axes[2:]:
        if axis.size is None:
            raise ShapeError(
                f"{block!r} at {at.where} needs the length of the axis {axis.name!r}; say it, as "
                f"in Network(…, x='channels=3 {' '.join(f'{name}=32' for name in names)}')"
            )
    return x.axes[2:]


def counted(block: Block, sliding: Sliding, axis: Axis, at: Scope, ceil: bool = False) -> int:
    """How many windows there are along an axis; raises ShapeError where the kernel is longer."""
    length = axis.size or 0
    if (found := sliding.count(length, ceil)) < 1:
        dilated = f", {sliding.reach} long with its dilation," if sliding.dilation > 1 else ""
        padded = length + sliding.before + sliding.after
        around = " with its padding" if padded != length else ""
        raise ShapeError(
            f"{block!r} at {at.where}: a kernel of {sliding.kernel}{dilated} is longer than the "
            f"axis {axis.name!r}, {padded} long{around}"
        )
    return found


def sized(block: Block, axis: Axis, size: int, at: Scope) -> Axis:
    """The axis of channels, which has to have this size; raises ShapeError for another."""
    known = at.sizes.get(axis, axis.size)
    if known not in (None, size):
        raise ShapeError(
            f"{block!r} at {at.where} takes {size} channels, but what comes in has {axis.name!r} "
            f"of {known}"
        )
    return at.sized(axis, size, block)


def new_axis(at: Scope, name: str, size: int, taken: Iterable[Axis]) -> Axis:
    """An axis of the block's own beside those that are there: for a block at the top, primed."""
    axis, names = at.axis(name, size), {each.name for each in taken}
    while axis.name in names:
        axis = axis.primed
    return axis


def new_axes(at: Scope, names: Sequence[str], sizes: Sequence[int], taken: Axes) -> Axes:
    """One such axis for each name."""
    return tuple(new_axis(at, *each, taken) for each in zip(names, sizes, strict=True))


def told(block: Block) -> str:
    """A block as it would be written: the first arguments, then what is not as it is by default."""
    parts = []
    for field in fields(block):  # type: ignore[arg-type]
        value = getattr(block, field.name)
        if field.default is field.default_factory:  # neither is there
            parts.append(repr(value))
        elif value != field.default:
            parts.append(f"{field.name}={value!r}")
    return f"{type(block).__name__}({', '.join(parts)})"
