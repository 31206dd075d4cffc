"""The axes of a model's inputs, and what its first operators make of them."""

from __future__ import annotations

from math import prod

from pullback.interop.rows import Ref, Row
from pullback.ir import Axis, Input
from pullback.net.inputs import shapes

# what the axes of a sample are called, by how many there are
_NAMES = {1: "features", 2: "tokens features", 3: "channels height width"}
_TURNING = ("transpose", "t", "T", "mT", "numpy_T", "permute", "swapaxes")


def declared_axes(
    shape: tuple[int | None, ...], flat: bool = False, of: str = "", whole: bool = False
) -> str:
    """The axes of a sample of this shape, as text; ``flat`` makes one of them.

    ``whole`` if its numbers are.

    >>> declared_axes((1, 8, 8)), declared_axes((1, 8, 8), flat=True)
    ('channels=1 height=8 width=8', 'features=1x8x8')
    """
    if flat:
        return f"features={'x'.join(map(str, shape))}" if None not in shape else "features"
    default = " ".join(f"axis{at}" for at in range(1, len(shape) + 1))
    names = _NAMES.get(len(shape), default).split()
    names = ["tokens"] if whole and len(names) == 1 else names
    axes = (_said(Axis(f"{name}{of}", size)) for name, size in zip(names, shape, strict=True))
    return " ".join(axes) + (":index" if whole else "")


def text_of_axes(x: Input) -> str:
    """The axes of a sample of an input as text."""
    return " ".join(map(_said, x.axes[1:])) + (":index" if x.whole else "")


def without_size(declared: str) -> str:
    """The same text, for one axis whose size the layers say."""
    return declared if " " in declared or shapes(declared) else declared.partition("=")[0]


def _said(axis: Axis) -> str:
    return axis.name if axis.size is None else f"{axis.name}={axis.size}"


def is_turned(rows: tuple[Row, ...]) -> bool:
    """Does a row put the axes of a value into another order?"""
    return any(row.operator in _TURNING and isinstance(row.args[0], Ref) for row in rows)


def flattens(rows: tuple[Row, ...], shape: tuple[int | None, ...]) -> bool:
    """Does every row that reads the input ask for its shape, or make (batch, features) of it?

    ``shape`` is that of a sample.
    """
    readers = [row for row in rows if 0 in row.reads]
    return bool(readers) and all(
        row.operator in ("shape", "size", "identity") or _is_flattening(row, shape)
        for row in readers
    )


def _is_flattening(row: Row, shape: tuple[int | None, ...]) -> bool:
    if row.operator == "flatten":
        given = dict(zip(("start_dim", "end_dim"), row.args[1:], strict=False)) | dict(row.options)
        return given.get("start_dim") == 1 and given.get("end_dim", -1) == -1
    sizes = row.args[1:]
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    if row.operator not in ("reshape", "view") or len(sizes) != 2 or row.args[0] != Ref(0):
        return False
    return None in shape or sizes[1] in (-1, prod(n for n in shape if n is not None))
