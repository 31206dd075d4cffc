"""Blocks and losses as plain data, which JSON holds, and back: nothing that is read is run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pullback import nn
from pullback.errors import ConfigError, DataError, shown
from pullback.nn.block import Block
from pullback.nn.loss import Loss

Part = Block | Loss
_DEEPEST = 50  # blocks in blocks
_LONGEST = 100_000  # entries of a list


def to_plain(part: Part) -> dict[str, Any]:
    """A block or a loss by the name of its class and its arguments.

    Raises ConfigError for one that is not among pullback's own.

    >>> import pullback as pb
    >>> to_plain(pb.Sequential(pb.Linear(3, 2, bias=False), pb.LeakyReLU(0.1)))["kind"]
    'Sequential'
    >>> block_of(to_plain(pb.Residual(pb.Linear(3, 3), scale=0.5)))
    Residual(block=Linear(3, 3), scale=0.5)
    """
    part = part.public() if isinstance(part, Block) else part
    kind = type(part).__name__
    if _public().get(kind) is not type(part):
        raise ConfigError(
            f"{shown(part)} is no block or loss of pullback's own: a file cannot say what it is. "
            "Save its parameters, and build it anew from its own code when they are loaded; or "
            "export it with to_onnx"
        )
    given = {"kind": kind, **_arguments(part)}
    if _made(given, 0) != part:
        raise ConfigError(f"{shown(part)} has options that a file cannot hold; use plain numbers")
    return given


def block_of(told: Any) -> Block:
    """The block that ``to_plain`` made plain; raises DataError for anything else."""
    part = _read(told)
    if not isinstance(part, Block):
        raise DataError(f"a network is damaged: {shown(told)} is no block")
    return part


def loss_of(told: Any) -> Loss:
    """The loss that ``to_plain`` made plain; raises DataError for anything else."""
    part = _read(told)
    if not isinstance(part, Loss):
        raise DataError(f"a network is damaged: {shown(told)} is no loss")
    return part


def _read(told: Any) -> Any:
    try:
        return _made(told, 0)
    except (TypeError, ValueError, AttributeError) as fault:  # arguments that are none
        raise DataError(f"a network is damaged: {fault}") from fault


def _public() -> dict[str, type[Part]]:
    held = {name: getattr(nn, name) for name in nn.__all__}
    parts = {k: v for k, v in held.items() if isinstance(v, type) and issubclass(v, (Block, Loss))}
    return {**parts, "FormulaLoss": nn.loss.base.FormulaLoss}


def _arguments(part: Part) -> dict[str, Any]:
    """The arguments that make a part, each held under its name; parts have names, or places."""
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(part)).parameters.items():
        value = getattr(part, name)
        if parameter.kind is parameter.VAR_KEYWORD:
            if value:
                return {name: _plain(value), **{k: v for k, v in given.items() if k != "blocks"}}
        elif value != parameter.default:
            given[name] = _plain(value)
    return given


def _plain(value: Any) -> Any:
    match value:
        case Block() | Loss():
            return to_plain(value)
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return value


def _made(told: Any, depth: int) -> Any:
    """The value, block or loss of plain data; raises DataError for what makes none."""
    if depth > _DEEPEST:
        raise DataError(f"a network is damaged: its blocks stand in one another {depth} deep")
    if isinstance(told, list):
        if len(told) > _LONGEST:
            raise DataError(f"a network is damaged: it has a list of {len(told):,} entries")
        return tuple(_made(each, depth + 1) for each in told)
    if not isinstance(told, dict):
        return told
    kind = _public().get(told.get("kind"))  # type: ignore[arg-type]
    if kind is None:
        raise DataError(f"a network is damaged: unknown block {shown(told.get('kind'))}")
    positional: list[Any] = []
    named: dict[str, Any] = {}
    parameters = inspect.signature(kind).parameters
    for name, value in told.items():
        if name == "kind":
            continue
        if name not in parameters:
            raise DataError(f"a network is damaged: {kind.__name__} has no option {shown(name)}")
        way = parameters[name].kind
        if way is inspect.Parameter.VAR_POSITIONAL:
            positional += _made(value, depth + 1)
        elif way is inspect.Parameter.VAR_KEYWORD:
            named |= {each: _made(inner, depth + 1) for each, inner in value.items()}
        else:
            named[name] = _made(value, depth + 1)
    return kind(*positional, **named)
