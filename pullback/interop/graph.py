"""The computation of another library's model, value by value, before it is read as blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.ir import symbol
from pullback.nn import Block, Elementwise, Linear

Array = np.ndarray[Any, np.dtype[Any]]
_Wide = TypeVar("_Wide", bound="Value")
_LONGEST_NAME = 300


@dataclass(frozen=True, eq=False)
class Value:
    """One value: its rank in the order of computing, and where it stands, in words."""

    index: int
    place: str


@dataclass(frozen=True, eq=False)
class Source(Value):
    """What goes into the model."""


@dataclass(frozen=True, eq=False)
class Affine(Value):
    """arg Wᵀ + b; ``name`` is what the weights are called, or None."""

    arg: Value
    weight: Array
    bias: Array | None
    name: str | None

    @property
    def width(self) -> int:
        return int(self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Applied(Value):
    """An activation of one value."""

    arg: Value
    block: Elementwise


@dataclass(frozen=True, eq=False)
class Formula(Value):
    """A SymPy expression in x0, x1, … of as many values."""

    args: tuple[Value, ...]
    expr: Any


@dataclass(frozen=True, eq=False)
class Part(Value):
    """A part of the model that is a block already."""

    arg: Value
    block: Block

    @property
    def width(self) -> int | None:
        """How many features the last Linear in it has; None if there is no Linear."""
        shapes = [spec.shape for spec in self.block.parameters("") if spec.kind == "weight"]
        return shapes[-1][0] if shapes else None


@dataclass
class Store:
    """The weights and biases of Linear blocks, each used once, by what the block is called."""

    arrays: dict[str, tuple[Array, Array | None]] = field(default_factory=dict)

    def linear(self, place: str, name: str, weight: Any, bias: Any) -> Linear:
        """The Linear of that name with its weight (out, in) and bias (out,).

        Raises ConversionError for what are not arrays of these shapes, for NaN and infinities, for
        names that are none of ours, and for weights used twice.
        """
        check_name(place, name)
        w = as_array(place, weight)
        b = None if bias is None else as_array(place, bias)
        if w.ndim != 2 or 0 in w.shape or (b is not None and b.shape != w.shape[:1]):
            shapes = f"{w.shape}" if b is None else f"{w.shape} and {b.shape}"
            raise ConversionError(
                f"{place} has parameters of shape {shapes}; expected a weight (out, in) and a bias "
                "(out,)"
            )
        if name in self.arrays:
            raise ConversionError(
                f"{place} uses the weights of {name!r} a second time; pullback shares no weights "
                "between Linear blocks: give it weights of its own"
            )
        self.arrays[name] = (w, b)
        return Linear(int(w.shape[1]), int(w.shape[0]), bias=b is not None, name=name)


@dataclass
class Graph:
    """Values as they are added; each says where it stands, for the errors to name it."""

    store: Store
    width: int | None = None  # of what goes in, where the model says so
    _count: int = 0
    _like: dict[Value, Value] = field(default_factory=dict)  # the value that has as many features

    def __post_init__(self) -> None:
        self.source = Source(0, "the input")

    def affine(
        self, place: str, arg: Value, weight: Any, bias: Any = None, name: str | None = None
    ) -> Affine:
        """A matrix product with weights (out, in), and a bias (out,) if there is one.

        Raises ConversionError for what is no matrix, or does not fit the value.
        """
        if np.ndim(weight) != 2:
            raise ConversionError(f"{place} has a weight of shape {np.shape(weight)}, no matrix")
        self.meet(place, arg, int(np.shape(weight)[1]))
        return Affine(self._next(), place, arg, weight, bias, name)

    def applied(self, place: str, arg: Value, block: Elementwise) -> Applied:
        """An activation."""
        return self._as_wide(arg, Applied(self._next(), place, arg, block))

    def part(self, place: str, arg: Value, block: Block) -> Part:
        """A block."""
        part = Part(self._next(), place, arg, block)
        return part if part.width else self._as_wide(arg, part)

    def formula(self, place: str, expr: Any, args: Sequence[Value | float]) -> Value:
        """An expression in x0, x1, … of values and numbers.

        Raises ConversionError if none of them is a value.
        """
        values: list[Value] = []
        filled: dict[Any, Any] = {}
        for at, arg in enumerate(args):
            if isinstance(arg, Value):
                if arg not in values:
                    values.append(arg)
                filled[symbol(at)] = symbol(values.index(arg))
            else:
                filled[symbol(at)] = formula.number(arg)
        if not values:
            raise ConversionError(f"{place} does not depend on the input")
        widths = {width for value in values if (width := self.width_of(value)) is not None}
        if len(widths) > 1:
            raise ConversionError(f"{place} joins values of {' and '.join(map(str, widths))} units")
        known = next((v for v in values if self.width_of(v) is not None), values[0])
        made = Formula(self._next(), place, tuple(values), expr.xreplace(filled))
        return self._as_wide(known, made)

    def meet(self, place: str, value: Value, width: int) -> None:
        """Note that a value has that many features; raises ConversionError if it has others."""
        known = self.width_of(value)
        if known is None:
            self.width = width  # what a value of unknown width comes from is the input
        elif known != width:
            raise ConversionError(f"{place} takes {width} features, but {known} come in")

    def width_of(self, value: Value) -> int | None:
        """How many features a value has, where that is known."""
        value = self._like.get(value, value)
        return self.width if isinstance(value, Source) else getattr(value, "width", None)

    def _as_wide(self, one: Value, other: _Wide) -> _Wide:
        """Note that the other has as many features as the one."""
        self._like[other] = self._like.get(one, one)
        return other

    def _next(self) -> int:
        self._count += 1
        return self._count


def as_array(place: str, value: Any) -> Array:
    """float32 or float64 as they are, half precision as float32.

    Raises ConversionError for other types of number, and for NaN and infinities.
    """
    array = np.asarray(value)
    if array.dtype == np.float16 or array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype not in (np.float32, np.float64):
        raise ConversionError(f"{place} has parameters of dtype {array.dtype}; expected floats")
    if not np.isfinite(array).all():
        at = list(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise ConversionError(f"{place} has a parameter that is {array[tuple(at)]}, at {at}")
    return array


def check_name(place: str, name: str) -> None:
    """Raise ConversionError for a name that holds more than letters, digits and . _ - / :

    >>> check_name("Gemm at node 0", 'fc"')
    Traceback (most recent call last):
    pullback.errors.ConversionError: Gemm at node 0 has parameters called 'fc"'; ...
    """
    if len(name) > _LONGEST_NAME or not all(c.isalnum() or c in "._-/:#" for c in name):
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        raise ConversionError(
            f"{place} has parameters called {shown!a}; a name has at most {_LONGEST_NAME} "
            "letters, digits and . _ - / : here: rename it in the model"
        )
