"""Data and parameters are looked at before any work starts; what is wrong is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

from pullback.errors import (
    DataError,
    DTypeError,
    ShapeError,
    UnknownNameError,
    nearest,
    unknown,
    warn,
)
from pullback.ir import Axes, Axis, Input
from pullback.ir.axis import bind, show
from pullback.net.program import Array
from pullback.nn import Loss, ParameterSpec


class Fed(Protocol):
    """A network, as far as its data go: what goes in, what is trained, what it is scored by."""

    @property
    def x(self) -> Input: ...
    @property
    def xs(self) -> Mapping[str, Input]: ...
    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...
    @property
    def index_sizes(self) -> Mapping[str, int]: ...
    @property
    def index_limits(self) -> list[tuple[str, Axis, tuple[int, ...]]]: ...
    @property
    def specs(self) -> Sequence[ParameterSpec]: ...
    @property
    def target(self) -> Input: ...
    @property
    def criterion(self) -> Loss: ...


FLOATS = _SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_LARGEST = np.iinfo(np.int64).max


def checked_parameters(net: Fed, params: Mapping[str, Any], dtype: Any) -> dict[str, Array]:
    """The parameters as arrays of one dtype, in the state dict's order."""
    if not isinstance(params, Mapping):
        raise DTypeError(f"params is a {type(params).__name__}; expected a dict of arrays by name")
    specs = {spec.name: spec for spec in net.specs}
    for name in params:
        if name not in specs:
            raise UnknownNameError(
                f"the network has no parameter {name!r}: {nearest(str(name), specs)}"
            )
    checked: dict[str, Array] = {}
    for name, spec in specs.items():
        if name not in params:
            raise UnknownNameError(f"params lacks {name!r}, an array {spec.shape}")
        value = as_array(name, params[name])
        if value.dtype.kind not in "fiu":
            raise DTypeError(f"{name} has dtype {value.dtype}; expected float32 or float64")
        if value.shape != spec.shape:
            expected = "(" + ", ".join(f"{axis}={n}" for axis, n in spec.axes) + ")"
            raise ShapeError(f"{name} has shape {value.shape}; expected {expected}")
        checked[name] = value if value.dtype == dtype else _held_as(dtype, name, value)
    return checked


def _held_as(dtype: Any, name: str, value: Array) -> Array:
    """A parameter in another dtype; raises DataError for a number that is too large for it."""
    with np.errstate(over="ignore"):
        held = value.astype(dtype)
    if (lost := np.isfinite(value) & ~np.isfinite(held)).any():
        raise DataError(f"{name} holds {value[lost][0]}, which is too large for {held.dtype}")
    return held


def checked_x(net: Fed, X: Any) -> Array:
    """X as an array (batch, features) of float32 or float64, not empty, all finite."""
    return checked_inputs(net, {net.x.name: X})[net.x.name]


def checked_inputs(net: Fed, X: Any) -> dict[str, Array]:
    """An array for each input by name; X is one array, a tuple in order, or a dict by name.

    Raises UnknownNameError, ShapeError, DTypeError or DataError.
    """
    found = {
        name: checked_input(net.xs[name], given, called(net, name), net.index_sizes.get(name))
        for name, given in by_input(net, X).items()
    }
    for name, axis, limits in net.index_limits:
        _in_columns(called(net, name), found[name], net.xs[name].axes.index(axis), limits)
    if len(found) > 1:  # they meet
        sizes: dict[Axis, int] = {}
        for name, array in found.items():
            bind(called(net, name), array.shape, net.xs[name].axes, sizes)
    return found


def called(net: Fed, name: str) -> str:
    """What an input is called in messages: X where it is the only one."""
    return "X" if len(net.xs) == 1 else f"X[{name!r}]"


def by_input(net: Fed, X: Any) -> dict[str, Any]:
    """What is given for each input, its axes put together where it was declared so.

    Raises UnknownNameError or ShapeError where that is unclear.
    """
    found = _by_name(net, X)
    return {name: merged(net.shapes.get(name, ()), each) for name, each in found.items()}


def merged(shape: tuple[int, ...], X: Any) -> Any:
    """One sample of this shape, or a batch of them, with all its axes in one; else X itself."""
    if not shape:
        return X
    given, rank = getattr(X, "shape", ()), len(shape)
    if tuple(given[-rank:]) != shape or len(given) > rank + 1:
        return X
    return X.reshape((*given[:-rank], prod(shape)))


def _by_name(net: Fed, X: Any) -> dict[str, Any]:
    names = list(net.xs)
    if isinstance(X, Mapping):
        for name in X:
            if name not in net.xs:
                raise unknown("input", str(name), names)
        if missing := [name for name in names if name not in X]:
            raise UnknownNameError(f"X lacks the input {missing[0]!r}; expected {', '.join(names)}")
        return {name: X[name] for name in names}
    if isinstance(X, tuple) and len(names) > 1:
        if len(X) != len(names):
            raise ShapeError(
                f"X is a tuple of {len(X)}; expected one array each for {', '.join(names)}"
            )
        return dict(zip(names, X, strict=True))
    if len(names) > 1:
        raise ShapeError(
            f"X is one {type(X).__name__}; this network takes {', '.join(names)}: pass a dict of "
            "arrays by name, or a tuple in this order"
        )
    return {names[0]: X}


def dtype_of(inputs: Mapping[str, Array], params: object = None) -> Any:
    """The dtype in which a batch is computed: that of its floats, or else of the parameters."""
    found = {array.dtype for array in inputs.values()}
    if found.isdisjoint(FLOATS) and isinstance(params, Mapping):
        found = {each.dtype for each in params.values() if isinstance(each, np.ndarray)}
    return _DOUBLE if _DOUBLE in found else _SINGLE


def checked_input(leaf: Input, X: Any, called: str, places: int | None = None) -> Array:
    """An array with the axes of an input: floats, or whole numbers, not empty, all finite.

    ``places`` is how many there are to look up, where the numbers say which.
    """
    x = checked_whole(called, X, places) if leaf.whole else as_floats(called, X)
    if not _fits(x.shape, [axis.size for axis in leaf.axes]):
        hint = f"; one sample is {called}[None]" if x.ndim == len(leaf.axes) - 1 else ""
        if hint and x.ndim == 1:
            hint = f"; one sample is {called}[None, :]"
        raise ShapeError(f"{called} has shape {x.shape}; expected {show(leaf.axes)}{hint}")
    if x.size == 0:
        raise DataError(f"{called} is empty: it has no samples")
    _finite(called, x)
    return x


def checked_whole(called: str, X: Any, places: int | None = None) -> Array:
    """Whole numbers from 0, fewer than ``places``, as int64.

    Raises DTypeError for floats, DataError for one that is out of range.
    """
    x = as_array(called, X)
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{called} has dtype {x.dtype}; expected whole numbers, as int64")
    if x.size and x.min() < 0:
        at = tuple(map(int, np.argwhere(x < 0)[0]))
        raise DataError(f"{called}{list(at)} is {x[at]}; expected a whole number from 0")
    if x.size and x.max() > _LARGEST:
        at = tuple(map(int, np.argwhere(x > _LARGEST)[0]))
        raise DataError(f"{called}{list(at)} is {x[at]}; expected at most {_LARGEST:,}")
    if places is not None and x.size and x.max() >= places:
        at = tuple(map(int, np.argwhere(x >= places)[0]))
        raise DataError(
            f"{called}{list(at)} is {x[at]}; expected a whole number from 0 to {places - 1}, as it "
            f"says which of {places} is looked up"
        )
    return x.astype(np.int64, copy=False)


def _in_columns(called: str, x: Array, along: int, limits: tuple[int, ...]) -> None:
    """Raise DataError for a number beyond what its column may look up."""
    most = np.reshape(limits, [-1 if at == along else 1 for at in range(x.ndim)])
    if (x >= most).any():
        at = tuple(map(int, np.argwhere(x >= most)[0]))
        raise DataError(
            f"{called}{list(at)} is {x[at]}; expected a whole number from 0 to "
            f"{limits[at[along]] - 1}, as column {at[along]} looks up rows of its own"
        )


def checked_data(net: Fed, X: Any, Y: Any) -> tuple[Array, Array]:
    """X of the only input, and the targets as the array (batch, outputs) that the loss reads."""
    batch = checked_batch(net, X, Y)
    return batch[net.x.name], batch["target"]


def checked_batch(net: Fed, X: Any, Y: Any, params: object = None) -> dict[str, Array]:
    """Every input by name, and the target of the same dtype and the same number of samples."""
    inputs = checked_inputs(net, X)
    wanted = tuple([axis.size for axis in net.target.axes[1:]])
    if None in wanted:  # an input's axis, whose length the data tell
        lengths: dict[Axis, int] = {}
        for name, array in inputs.items():
            lengths |= dict(zip(net.xs[name].axes, array.shape, strict=True))
        wanted = tuple(lengths.get(axis, axis.size) for axis in net.target.axes[1:])
    batch = len(next(iter(inputs.values())))
    return {**inputs, "target": checked_target(net, Y, batch, dtype_of(inputs, params), wanted)}


def checked_target(
    net: Fed, Y: Any, batch: int, dtype: Any, shape: tuple[int | None, ...] | None = None
) -> Array:
    """Targets as (batch, …, outputs): class numbers become one-hot, (batch,) a column.

    Nothing is broadcast. ``shape`` is that of one sample's outputs where the data tell it.
    """
    y = as_array("Y", Y)
    if y.dtype.kind not in "fiub":
        names = "OUST" if y.ndim else ""
        hint = ", as np.unique(Y, return_inverse=True)[1] has for names"
        raise DTypeError(
            f"Y has dtype {y.dtype}; expected real numbers{hint if y.dtype.kind in names else ''}"
        )
    axes = net.target.axes
    outputs = tuple(axis.size for axis in axes[1:]) if shape is None else shape
    kind = net.criterion.target
    if y.ndim == 0:
        raise ShapeError(f"Y is a scalar; X has {batch} samples (axis batch), each with its target")
    if len(y) != batch:
        turned = y.ndim == 2 and y.shape == (*outputs, batch)
        hint = "; Y.T fits" if turned else ""
        raise ShapeError(f"Y has {len(y)} rows, shape {y.shape}; X has {batch} (axis batch){hint}")
    _finite("Y", y)
    if kind == "classes" and y.ndim == len(axes) - 1 and _fits(y.shape[1:], outputs[:-1]):
        return one_hot(y, outputs[-1], dtype, net.criterion.ignore_index)
    if y.ndim == 1 and outputs == (1,):
        if net.criterion.torch_broadcasts and batch > 1:
            warn(
                f"{type(net.criterion).__name__} takes Y of shape ({batch},) as the column "
                f"({batch}, 1); torch's loss would broadcast it to ({batch}, {batch}), which is "
                "another loss. Pass Y[:, None] to mean the column in both"
            )
        y = y[:, None]
    if not _fits(y.shape[1:], outputs):
        raise ShapeError(_misfit(kind, y, batch, axes, outputs))
    _in_range(kind, y, net.criterion.ignore_index is not None)
    return y.astype(dtype, copy=False)


def _fits(shape: tuple[int, ...], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and not [
        want for have, want in zip(shape, wanted, strict=True) if want not in (None, have)
    ]


def _misfit(kind: str, y: Array, batch: int, axes: Axes, outputs: tuple[int | None, ...]) -> str:
    """What is expected instead of targets of this shape, and what might be meant."""
    names = ["outputs"] if len(axes) == 2 else [axis.name for axis in axes[1:]]
    sized = (n if size is None else f"{n}={size}" for n, size in zip(names, outputs, strict=True))
    text = f"Y has shape {y.shape}; expected ({', '.join([f'batch={batch}', *sized])})"
    single = y.size == batch
    if kind == "classes":
        text += f" or class numbers ({', '.join(['batch', *names[:-1]])})"
        if single and len(axes) == 2:
            return f"{text}: Y.ravel()"
        if y.ndim == len(axes) - 1 > 1 and _fits(y.shape[1:], outputs[1:]):
            text += "; the classes are the last axis here, not axis 1 as in torch"
        return text
    if outputs == (1,) and single:
        return f"{text}: Y.reshape(-1, 1)"
    return f"{text}; one number a sample is not broadcast to all outputs" if single else text


def one_hot(labels: Array, classes: int | None, dtype: Any, ignored: int | None = None) -> Array:
    """Zeros with a one at each label, along a last axis, and without it at the ``ignored`` ones.

    Raises DataError for a label out of range.
    """
    with np.errstate(invalid="ignore"):  # a label beyond all whole numbers is not equal to its own
        whole = labels.astype(np.int64, copy=False)
    if (whole != labels).any():
        raise DataError("Y holds class numbers that are not whole; expected 0, 1, 2, …")
    count = classes if classes is not None else int(whole.max()) + 1
    flat = whole.ravel()
    kept = np.arange(flat.size) if ignored is None else np.flatnonzero(flat != ignored)
    chosen = flat[kept]
    outside = (chosen < 0) | (chosen >= count)
    if outside.any():
        at = tuple(map(int, np.unravel_index(kept[np.argmax(outside)], whole.shape)))
        left_out = whole[at] < 0 and ignored is None
        hint = f"; ignore_index={whole[at]} leaves such targets out" if left_out else ""
        raise DataError(f"Y{list(at)} is {whole[at]}; expected a class from 0 to {count - 1}{hint}")
    rows = np.zeros((flat.size, count), dtype)
    rows[kept, chosen] = 1
    return rows.reshape((*whole.shape, count))


def checked_weights(sample_weight: Any, batch: int, dtype: Any) -> Array:
    """Weights (batch,), finite, none below 0 and not all 0."""
    weight = as_array("sample_weight", sample_weight)
    if weight.dtype.kind not in "fiub":
        raise DTypeError(f"sample_weight has dtype {weight.dtype}; expected numbers")
    if weight.shape != (batch,):
        raise ShapeError(f"sample_weight has shape {weight.shape}; expected (batch={batch})")
    _finite("sample_weight", weight)
    if (weight < 0).any():
        at = int(np.argmax(weight < 0))
        raise DataError(f"sample_weight[{at}] is {weight[at]}; expected a number from 0")
    if not weight.any():
        raise DataError("sample_weight is 0 for every sample; there is nothing to learn from")
    return weight.astype(dtype, copy=False)


def as_array(name: str, value: Any) -> Array:
    """The value as an array; raises ShapeError for rows of several lengths."""
    if type(value) is np.ndarray:
        return value
    try:
        if hasattr(value, "detach"):  # a torch tensor, on whatever device
            value = value.detach().cpu()
            if str(value.dtype) == "torch.bfloat16":  # which float32 holds exactly
                value = value.float()
        return np.asarray(value)
    except ValueError:
        raise ShapeError(f"{name} is no array: its rows differ in length") from None
    except (TypeError, RuntimeError) as fault:  # a sparse tensor, or one without values
        raise DTypeError(f"{name} is no array of numbers: {fault}") from None


def checked_dtype(dtype: Any) -> Any:
    """float32 or float64; raises DTypeError for whatever else is asked for."""
    try:
        known = np.dtype(dtype) in FLOATS
    except TypeError:
        known = False
    if not known:
        raise DTypeError(f"dtype is {dtype!r}; expected np.float32 or np.float64")
    return np.dtype(dtype)


def as_floats(name: str, value: Any) -> Array:
    """An array of float32 or float64; anything else is an error that says what to do."""
    array = as_array(name, value)
    if array.dtype not in FLOATS:
        hint = f"; {name}.astype(np.float32)" if array.dtype.kind in "fiub" else ""
        raise DTypeError(f"{name} has dtype {array.dtype}; expected float32 or float64{hint}")
    return array


def is_finite(array: Array) -> bool:
    """Are all its numbers finite?"""
    return bool(np.count_nonzero(np.isfinite(array)) == array.size)  # .all() takes twice as long


def _finite(name: str, array: Array) -> None:
    if array.dtype.kind != "f" or is_finite(array):
        return
    at = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
    what = "NaN" if np.isnan(array).any() else "an infinity"
    raise DataError(f"{name} holds {what}, first at {list(at)}")


def _in_range(kind: str, y: Array, empty: bool) -> None:
    if kind == "signs" and not np.isin(y, (-1, 1)).all():
        raise DataError("Y holds other values than −1 and +1, which LogisticLoss needs")
    if kind in ("probabilities", "classes") and ((y < 0) | (y > 1)).any():
        at = tuple(map(int, np.argwhere((y < 0) | (y > 1))[0]))
        raise DataError(f"Y{list(at)} is {y[at]}; expected a probability from 0 to 1")
    totals = y.sum(axis=-1) if kind == "classes" else np.ones(1)
    if empty:  # a row of zeros is a target that is left out
        totals = np.where(totals == 0, 1, totals)
    if not np.allclose(totals, 1, atol=1e-4):
        row = tuple(map(int, np.unravel_index(np.argmax(np.abs(totals - 1)), totals.shape)))
        raise DataError(f"Y{list(row)} sums to {totals[row]:.4g}; expected class probabilities")
