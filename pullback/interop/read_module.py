"""A torch module as a network for data of one kind, with what had to be assumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pullback.errors import ConfigError, PullbackError, ShapeError
from pullback.interop.rows import Array
from pullback.interop.torch.convert import from_torch
from pullback.interop.torch.tensors import look_at_numbers
from pullback.net.checks import as_array, as_floats
from pullback.net.network import Network, Parameters
from pullback.nn import CrossEntropy, MSELoss

_LARGE = 1e4


@dataclass(frozen=True)
class ReadModule:
    """A torch module as a network with its parameters, its data as arrays, and what was assumed."""

    net: Network
    params: Parameters
    X: Any
    Y: Any
    assumptions: tuple[str, ...] = ()


def read_module(
    module: Any,
    X: Any = None,
    Y: Any = None,
    loss: Any = None,
    scored: bool = True,
    alone: bool = False,
) -> ReadModule:
    """A module as a network for data of this kind, which may be tensors.

    X may be one sample, and is meant to be if ``alone``. Where a loss is ``scored`` and none is
    given, class numbers mean CrossEntropy and other targets MSELoss; else it has no say.
    Raises ConversionError for a module that cannot be read, DTypeError for an X of other numbers,
    and DataError that names a parameter, or X, with NaN or an infinity.
    """
    assumptions = []
    if any(map(_is_half, _several(X))):
        assumptions.append("X holds numbers of half precision, and is computed in float32")
    X, Y = _each(_numbers, X), None if Y is None else as_array("Y", Y)
    if guessed := loss is None:
        loss = CrossEntropy() if _are_classes(Y) else MSELoss()
    if guessed and scored:
        assumptions.append(f"the loss is {loss!r}: none is given, and {_kind(Y)}")
    _each(partial(look_at_numbers, module), X)
    with np.errstate(all="ignore"):  # what overflows is found when it is computed
        net, params = _read(module, loss, _examples(X, alone))
    if guessed and isinstance(loss, CrossEntropy) and net.output.axes[-1].size == 1:
        raise ConfigError("Y holds class numbers and the module has one output; give loss=")
    return ReadModule(net, params, _as_read(net, X), Y, tuple(assumptions))


def _read(module: Any, loss: Any, examples: list[Any]) -> tuple[Network, Parameters]:
    """The module read with the first of some examples that it takes."""
    first, *others = examples
    try:
        return from_torch(module, loss, example=first)
    except PullbackError:
        for example in others:
            try:
                return from_torch(module, loss, example=example)
            except PullbackError:
                continue
        raise


def _examples(x: Any, alone: bool) -> list[Any]:
    """What a module may be read with: samples of a batch, or x itself as one sample.

    They are two, as statistics over the batch need. Of numbers so large that rounding is all that
    is left of them behind some layers, the last ones are scaled.
    """
    some = _samples_of(x, alone)
    large = any(map(_is_large, _several(x)))
    return [*some, *(_each(_scaled, each) for each in some if large and each is not None)]


def _is_large(x: Any) -> bool:
    """Do numbers squared leave so little of a difference that readings cannot be compared?"""
    floats = isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size
    return bool(floats and np.abs(x).max() > _LARGE)


def _scaled(x: Any) -> Any:
    """Numbers of mean 0 whose largest is 1; whole ones as they are."""
    if not _is_large(x):
        return x
    size = np.abs(x).max()
    shares = x / size
    centred = shares - shares.mean()
    return (centred / (np.abs(centred).max() or 1.0)).astype(x.dtype)


def _samples_of(x: Any, alone: bool) -> list[Any]:
    if not isinstance(x, np.ndarray):
        return [None if x is None else _each(lambda each: each[None] if alone else each[:2], x)]
    if x.ndim and len(x) == 0:
        return [None]
    if x.ndim < 2:
        return [x[None]]
    return [x[None], x[:2]] if alone else [x[:2], x[None]]


def _several(x: Any) -> list[Any]:
    """The arrays of one input, or of each in a tuple or a dict of several."""
    if isinstance(x, Mapping):
        return list(x.values())
    return list(x) if isinstance(x, tuple) else [x]


def _each(read: Callable[[Any], Any], x: Any) -> Any:
    """What is read of an array, or of each in a tuple or a dict of several inputs."""
    if isinstance(x, Mapping):
        return {name: read(each) for name, each in x.items()}
    if isinstance(x, tuple):
        return tuple(map(read, x))
    return None if x is None else read(x)


def _numbers(x: Any) -> Array:
    """Floats of float32 or float64, or whole numbers, as they may be looked up."""
    if isinstance(x, np.memmap):
        return x
    array = as_array("X", x)
    if not array.ndim:
        raise ShapeError(f"X holds the single number {array}; expected arrays with the batch first")
    if array.dtype.kind in "iu":
        return array
    half = array.dtype == np.float16
    return as_floats("X", array.astype(np.float32) if half or array.dtype == bool else array)


def _is_half(x: Any) -> bool:
    return str(getattr(x, "dtype", "")) in ("float16", "torch.float16", "torch.bfloat16")


def _as_read(net: Network, x: Any) -> Any:
    """The data with floats where the network takes real numbers."""

    def real(whole: bool, each: Any) -> Any:
        return each if whole or each.dtype.kind == "f" else each.astype(np.float32)

    leaves = net.xs
    if isinstance(x, Mapping):
        return {n: real(n in leaves and leaves[n].whole, each) for n, each in x.items()}
    if isinstance(x, tuple):
        return tuple(real(f.whole, each) for f, each in zip(leaves.values(), x, strict=True))
    return None if x is None else real(net.x.whole, x)


def _are_classes(y: Array | None) -> bool:
    return y is not None and y.ndim == 1 and y.dtype.kind in "iub"


def _kind(y: Array | None) -> str:
    if y is None:
        return "nothing says what the targets are"
    return "Y holds class numbers" if _are_classes(y) else "Y holds values"
