"""Data and parameters are looked at before any work starts; what is wrong is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.errors import DataError, DTypeError, ShapeError, UnknownNameError, nearest, warn
from pullback.net.program import Array

if TYPE_CHECKING:
    from pullback.net.network import Network

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def checked_parameters(net: Network, params: Mapping[str, Any], dtype: Any) -> dict[str, Array]:
    """The parameters as arrays of one dtype, in the state dict's order."""
    if not isinstance(params, Mapping):
        raise DTypeError(f"params is a {type(params).__name__}; expected a dict of arrays by name")
    known = [spec.name for spec in net.specs]
    for name in params:
        if name not in known:
            raise UnknownNameError(
                f"the network has no parameter {name!r}: {nearest(str(name), known)}"
            )
    checked: dict[str, Array] = {}
    for spec in net.specs:
        if spec.name not in params:
            raise UnknownNameError(f"params lacks {spec.name!r}, an array {spec.shape}")
        value = as_array(spec.name, params[spec.name])
        if value.dtype.kind not in "fiu":
            raise DTypeError(f"{spec.name} has dtype {value.dtype}; expected float32 or float64")
        if value.shape != spec.shape:
            expected = "(" + ", ".join(f"{axis}={n}" for axis, n in spec.axes) + ")"
            raise ShapeError(f"{spec.name} has shape {value.shape}; expected {expected}")
        with np.errstate(over="ignore"):
            held = checked[spec.name] = value.astype(dtype, copy=False)
        if held.dtype != value.dtype and (lost := np.isfinite(value) & ~np.isfinite(held)).any():
            raise DataError(
                f"{spec.name} holds {value[lost][0]}, which is too large for {held.dtype}"
            )
    return checked


def checked_x(net: Network, X: Any) -> Array:
    """X as an array (batch, features) of float32 or float64, not empty, all finite."""
    x = as_floats("X", X)
    width = net.n_in
    if x.ndim != 2 or (width is not None and x.shape[1] != width):
        hint = "; one sample is X[None, :]" if x.ndim == 1 else ""
        expected = f"(batch, features={width})" if width is not None else "(batch, features)"
        raise ShapeError(f"X has shape {x.shape}; expected {expected}{hint}")
    if x.shape[0] == 0:
        raise DataError("X is empty: it has no samples")
    _finite("X", x)
    return x


def checked_data(net: Network, X: Any, Y: Any) -> tuple[Array, Array]:
    """X, and the targets as the array (batch, outputs) that the loss reads, of X's dtype."""
    x = checked_x(net, X)
    return x, checked_target(net, Y, len(x), x.dtype, x.shape[1])


def checked_target(
    net: Network, Y: Any, batch: int, dtype: Any, features: int | None = None
) -> Array:
    """Targets as (batch, outputs): class numbers become one-hot rows, (batch,) a column.

    Nothing is broadcast. ``features`` is how many outputs a network has that keeps X's width.
    """
    y = as_array("Y", Y)
    if y.dtype.kind not in "fiub":
        names = "OUST" if y.ndim else ""
        hint = ", as np.unique(Y, return_inverse=True)[1] has for names"
        raise DTypeError(
            f"Y has dtype {y.dtype}; expected real numbers{hint if y.dtype.kind in names else ''}"
        )
    width = net.n_out if net.n_out is not None else features
    kind = net.criterion.target
    if y.ndim == 0:
        raise ShapeError(f"Y is a scalar; X has {batch} samples (axis batch), each with its target")
    if len(y) != batch:
        turned = y.ndim == 2 and y.shape == (width, batch)
        hint = "; Y.T fits" if turned else ""
        raise ShapeError(f"Y has {len(y)} rows, shape {y.shape}; X has {batch} (axis batch){hint}")
    _finite("Y", y)
    if kind == "classes" and y.ndim == 1:
        return one_hot(y, width, dtype)
    if y.ndim == 1 and width == 1:
        if net.criterion.torch_broadcasts and batch > 1:
            warn(
                f"{type(net.criterion).__name__} takes Y of shape ({batch},) as the column "
                f"({batch}, 1); torch's loss would broadcast it to ({batch}, {batch}), which is "
                "another loss. Pass Y[:, None] to mean the column in both"
            )
        y = y[:, None]
    if y.ndim != 2 or (width is not None and y.shape[1] != width):
        raise ShapeError(_misfit(kind, y, batch, width))
    _in_range(kind, y)
    return y.astype(dtype, copy=False)


def _misfit(kind: str, y: Array, batch: int, width: int | None) -> str:
    """What is expected instead of targets of this shape, and what might be meant."""
    outputs = "outputs" if width is None else f"outputs={width}"
    text = f"Y has shape {y.shape}; expected (batch={batch}, {outputs})"
    single = y.size == batch
    if kind == "classes":
        text += " or class numbers (batch)"
        return f"{text}: Y.ravel()" if single else text
    if width == 1 and single:
        return f"{text}: Y.reshape(-1, 1)"
    return f"{text}; one number a sample is not broadcast to all outputs" if single else text


def one_hot(labels: Array, classes: int | None, dtype: Any) -> Array:
    """Rows of zeros with a one at each label; raises DataError for a label out of range."""
    with np.errstate(invalid="ignore"):  # a label beyond all whole numbers is not equal to its own
        whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise DataError("Y holds class numbers that are not whole; expected 0, 1, 2, …")
    count = classes if classes is not None else int(whole.max()) + 1
    outside = (whole < 0) | (whole >= count)
    if outside.any():
        at = int(np.argmax(outside))
        raise DataError(f"Y[{at}] is {whole[at]}; expected a class from 0 to {count - 1}")
    rows = np.zeros((len(whole), count), dtype)
    rows[np.arange(len(whole)), whole] = 1
    return rows


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
    if hasattr(value, "detach"):  # a torch tensor, on whatever device
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except ValueError:
        raise ShapeError(f"{name} is no array: its rows differ in length") from None


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


def _finite(name: str, array: Array) -> None:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    at = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
    what = "NaN" if np.isnan(array).any() else "an infinity"
    raise DataError(f"{name} holds {what}, first at {list(at)}")


def _in_range(kind: str, y: Array) -> None:
    if kind == "signs" and not np.isin(y, (-1, 1)).all():
        raise DataError("Y holds other values than −1 and +1, which LogisticLoss needs")
    if kind in ("probabilities", "classes") and ((y < 0) | (y > 1)).any():
        at = tuple(map(int, np.argwhere((y < 0) | (y > 1))[0]))
        raise DataError(f"Y{list(at)} is {y[at]}; expected a probability from 0 to 1")
    if kind == "classes" and not np.allclose(y.sum(axis=1), 1, atol=1e-4):
        row = int(np.argmax(np.abs(y.sum(axis=1) - 1)))
        raise DataError(f"Y[{row}] sums to {y[row].sum():.4g}; expected class probabilities")
