"""What an imported model is: rows, one an operator of another library, from values to values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.nn.scope import Law

Array = np.ndarray[Any, np.dtype[Any]]
_LONGEST_NAME = 300


@dataclass(frozen=True)
class Batch:
    """The number of samples, or so many times it, where a model asks for a shape."""

    times: int = 1

    def __repr__(self) -> str:
        return "the batch's size" if self.times == 1 else f"{self.times} times the batch's size"


BATCH_SIZE = Batch()


@dataclass(frozen=True)
class Ref:
    """The result of a row; the inputs come first."""

    index: int


@dataclass(frozen=True)
class Held:
    """A tensor of the model: a parameter, or a buffer or constant, which is not trained.

    ``path`` and ``part`` are its name; ``order`` says which of its own axes each of these is, as
    after a transpose. ``law`` is how it starts; an array is what it holds. ``constant`` if it is no
    parameter of the model; its numbers may be the ``truth`` of something, 1 or 0.
    """

    path: str
    part: str
    own_shape: tuple[int, ...]
    trained: bool
    law: Law | Array = field(compare=False)
    order: tuple[int, ...] = ()
    constant: bool = False
    truth: bool = False

    @property
    def name(self) -> str:
        """Its name in the state dict."""
        return f"{self.path}.{self.part}" if self.path else self.part

    @property
    def shape(self) -> tuple[int, ...]:
        """How long its axes are, in this order."""
        return tuple(self.own_shape[at] for at in self.order)

    @property
    def number(self) -> float | None:
        """The one number that it is, if it is a constant of one."""
        single = self.constant and self.own_shape in ((), (1,))
        return float(np.ravel(np.asarray(self.law))[0]) if single else None

    def permuted(self, order: tuple[int, ...]) -> Held:
        """The same tensor with its axes in another order."""
        return replace(self, order=tuple(self.order[at] for at in order))


@dataclass(frozen=True)
class Row:
    """One operator: its name, what it is applied to, and where it stands.

    ``path`` and ``part`` name its equation, ``place`` says in words where it was read.
    """

    operator: str
    args: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...] = ()
    path: str = ""
    part: str = ""
    place: str = ""

    @property
    def reads(self) -> Iterator[int]:
        """The results that it is applied to."""
        return _refs((self.args, self.options))


def _refs(value: Any) -> Iterator[int]:
    if isinstance(value, Ref):
        yield value.index
    elif isinstance(value, slice):
        yield from _refs((value.start, value.stop, value.step))
    elif isinstance(value, tuple):
        for each in value:
            yield from _refs(each)


def held(
    place: str, path: str, part: str, value: Any, *, trained: bool, constant: bool = False
) -> tuple[Held, Array]:
    """A tensor of a model and its values; half precision as float32.

    Raises ConversionError for another type of number, for NaN and infinities, and for a name that
    holds more than letters, digits and . _ - / :
    """
    check_name(place, f"{path}.{part}" if path else part)
    array = as_array(place, value)
    if array.size == 0:
        raise ConversionError(f"{place} has a tensor {part!r} of shape {array.shape}, no numbers")
    order = tuple(range(array.ndim))
    law = _law(part, array, trained)
    return Held(path, part, array.shape, trained, law, order, constant), array


def _law(part: str, array: Array, trained: bool) -> Law | Array:
    """A matrix is drawn as a weight and a vector called bias as one; others start as they are."""
    if trained and array.ndim > 1:
        return "weight"
    return "bias" if trained and array.ndim == 1 and part == "bias" else array.copy()


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
