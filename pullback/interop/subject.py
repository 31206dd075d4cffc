"""A torch module wherever a network is expected: it is read with the weights that it has.

What reads it loads when a module comes: of a network nothing is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from inspect import Signature, signature
from itertools import chain
from typing import Any, TypeVar

from pullback import interop
from pullback.errors import ConfigError, nearest, require, warn
from pullback.interop.torch.tensors import is_module
from pullback.net.inputs import are_batches
from pullback.net.network import Network

EXPECTED = "a network such as pb.Network(model, loss=…), or a torch.nn.Module"
R = TypeVar("R")


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
        # by how many stand in their places: what has to be given by name, and what may be
        by_name = {
            n: (needed.difference(names[:n]), every.difference(names[:n]))
            for n in range(len(names) + 1)
            if every.issuperset(names[:n])
        }

        @wraps(work)
        def called(*args: Any, **options: Any) -> R:
            subject = args[0] if args else options.get(first)
            _refuse_dataset(args[1] if len(args) > 1 else options.get("X"))
            if isinstance(subject, Network) and len(args) in by_name:
                least, most = by_name[len(args)]
                if least <= options.keys() <= most:  # nothing to say: no detour by signatures
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
            read = interop.read_module(subject, x, y, given.get("loss"), scored, alone="x" in data)
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
