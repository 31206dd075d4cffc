"""A torch module wherever a network is expected: it is read with the weights that it has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from inspect import Signature, signature
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from pullback.errors import ConfigError, PullbackError, ShapeError, nearest, require, warn
from pullback.interop.rows import Array
from pullback.interop.torch.convert import from_torch
from pullback.interop.torch.tensors import is_module, look_at_numbers
from pullback.net.checks import as_array, as_floats
from pullback.net.inputs import are_batches
from pullback.net.network import Network, Parameters
from pullback.nn import CrossEntropy, MSELoss

EXPECTED = "a network such as pb.Network(model, loss=…), or a torch.nn.Module"
R = TypeVar("R")


@dataclass(frozen=True)
class ReadModule:
    """A torch module as a network with its parameters, its data as arrays, and what was assumed."""

    net: Network
    params: Parameters
    X: Any
    Y: Any
    assumptions: tuple[str, ...] = ()


def takes_module(*data: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """A function of a network that takes a torch module too, with the weights that it has.

    ``data`` are the names of its X and its Y. ``params`` are then the module's own; where they come
    second they may be left out, and what follows moves up. The loss, where the function has a
    ``loss``, is guessed from Y, and said, if none is given.
    Raises ConfigError for arguments that are missing or that the function has not, and for a loss
    beside a network, which has one.

    >>> @takes_module("X")
    ... def outputs(net, params, X):
    ...     return net.predict(params, X).shape
    >>> import torch
    >>> outputs(torch.nn.Linear(3, 2), torch.ones(5, 3))
    (5, 2)
    >>> outputs(torch.nn.Linear(3, 2))
    Traceback (most recent call last):
    pullback.errors.ConfigError: outputs needs X: outputs(net, X)
    """

    def around(work: Callable[..., R]) -> Callable[..., R]:
        takes = signature(work)
        names = tuple(takes.parameters)
        first, every = names[0], {*names} - {"loss"}
        needed = {name for name, each in takes.parameters.items() if each.default is each.empty}

        @wraps(work)
        def called(*args: Any, **options: Any) -> R:
            subject = args[0] if args else options.get(first)
            _refuse_dataset(args[1] if len(args) > 1 else options.get("X"))
            if isinstance(subject, Network):  # and nothing to say: no detour through signatures
                given_by = {*names[: len(args)], *options}
                if needed <= given_by <= every and len(given_by) == len(args) + len(options):
                    return work(*args, **options)
            if not is_module(subject):
                if first == "net" and (args or first in options):
                    require("net", subject, Network, EXPECTED)
                refuse_loss(subject, _bound(work.__name__, takes, args, options).get("loss"))
                return work(*args, **options)
            params, args, options = _params_apart(subject, takes, args, options)
            given = _bound(work.__name__, _without_params(takes), args, options)
            X, Y = x, y = (*(given.get(name) for name in data), None, None)[:2]
            if batches := "Y" in data and are_batches(X, Y):
                X, (x, y) = _first_batch(X)
            scored = "loss" in takes.parameters
            read = read_module(subject, x, y, given.get("loss"), scored, alone="x" in data)
            for each in read.assumptions:
                warn(f"{work.__name__}: {each}")
            X, Y = (X, Y) if batches else (read.X, read.Y)
            given |= {first: read.net, **dict(zip(data, (X, Y), strict=False))}
            if "params" in takes.parameters:
                given["params"] = read.params | params
            return work(**given | ({"loss": None} if scored else {}))

        return called

    return around


def named_arguments(work: Callable[..., R]) -> Callable[..., R]:
    """The function, which says what is missing, or what it does not take, by a ConfigError."""
    takes = signature(work)

    @wraps(work)
    def called(*args: Any, **options: Any) -> R:
        return work(**_bound(work.__name__, takes, args, options))

    return called


def refuse_loss(net: Any, loss: Any) -> None:
    """Raise ConfigError for a loss beside a network, which has one."""
    if loss is not None and isinstance(net, Network):
        raise ConfigError(f"loss is {loss!r}, but the network has one: {net.criterion!r}")
    if loss is not None:
        raise ConfigError(f"loss is {loss!r}, but it is for a torch module, and here is {net!r}")


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

    They are two, as statistics over the batch need.
    """
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


def _first_batch(X: Any) -> tuple[Any, Any]:
    """The batches, of which none is lost, and the first of them, a pair (x, y)."""
    batches: Iterator[Any] = iter(X() if callable(X) else X)
    first = next(batches, None)
    if not isinstance(first, (tuple, list)) or len(first) != 2:
        found = "is empty" if first is None else f"gives a {type(first).__name__}"
        raise ConfigError(f"X {found}; expected batches (x, y)")
    return (chain([first], batches) if batches is X else X), tuple(first)


def _refuse_dataset(X: Any) -> None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.utils.data.Dataset):
        raise ConfigError(
            f"X is a {type(X).__name__}; give its tensors, or its batches to fit, as "
            "torch.utils.data.DataLoader(X, batch_size=32)"
        )


def _are_classes(y: Array | None) -> bool:
    return y is not None and y.ndim == 1 and y.dtype.kind in "iub"


def _kind(y: Array | None) -> str:
    if y is None:
        return "nothing says what the targets are"
    return "Y holds class numbers" if _are_classes(y) else "Y holds values"


def _params_apart(
    module: Any, takes: Signature, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]:
    """The parameters that a call gives, and its other arguments."""
    rest = {name: value for name, value in options.items() if name != "params"}
    found = options.get("params")
    at = list(takes.parameters).index("params") if "params" in takes.parameters else len(args)
    if at < len(args) and (at > 1 or args[at] is None or _is_state(module, args[at])):
        found, args = args[at], (*args[:at], *args[at + 1 :])
    return dict(found or {}), args, rest


def _is_state(module: Any, given: Any) -> bool:
    named = isinstance(given, Mapping) and bool(given)
    return named and given.keys() <= module.state_dict().keys()


def _without_params(takes: Signature) -> Signature:
    return takes.replace(parameters=[p for n, p in takes.parameters.items() if n != "params"])


def _bound(
    name: str, takes: Signature, args: tuple[Any, ...], options: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name.

    Raises ConfigError for those that are missing, and for what the function does not take.
    """
    try:
        return dict(takes.bind(*args, **options).arguments)
    except TypeError as fault:
        reason = str(fault)
    known = list(takes.parameters.values())
    needed = [p.name for p in known if p.default is p.empty]
    call = f"{name}({', '.join(needed)})"
    given = {*(p.name for p in known[: len(args)]), *options}
    for each in options:
        if each not in takes.parameters:
            raise ConfigError(f"{name} has no {each!r}: {nearest(each, takes.parameters)}")
    if missing := [each for each in needed if each not in given]:
        raise ConfigError(f"{name} needs {' and '.join(missing)}: {call}")
    raise ConfigError(f"{name}: {reason}; expected {call}")
