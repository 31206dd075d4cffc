"""A ``forward`` that somebody has put on one module: in a copy it works on the copy's modules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any


def rebind(module: Any, copies: Mapping[int, Any]) -> None:
    """Let what stands on the modules of a copy in place of forward work on the copy.

    ``copies`` are the copies by the ids of what they are of. A deep copy leaves functions as they
    are, with what they hold.
    """
    for part in module.modules():
        if "forward" in vars(part):
            part.forward = _rebound(part.forward, copies, {})


def _rebound(value: Any, copies: Mapping[int, Any], done: dict[int, Any]) -> Any:
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, MethodType):
        of = copies.get(id(value.__self__), value.__self__)
        return MethodType(_rebound(value.__func__, copies, done), of)
    if isinstance(value, partial):
        args, options = (_rebound(each, copies, done) for each in (value.args, value.keywords))
        return partial(_rebound(value.func, copies, done), *args, **options)
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(_rebound(each, copies, done) for each in value)
    if type(value) is dict:
        return {key: _rebound(each, copies, done) for key, each in value.items()}
    if isinstance(value, FunctionType):
        return _function(value, copies, done)
    return copies.get(id(value), value)


def _holds(value: Any) -> bool:
    """May a global be a module, or hold one?"""
    return isinstance(value, (MethodType, partial)) or hasattr(value, "named_parameters")


def _function(value: FunctionType, copies: Mapping[int, Any], done: dict[int, Any]) -> Any:
    """The function with cells of its own: those of the first belong to others too."""
    cells = tuple(CellType() for _ in value.__closure__ or ())
    named = {name: value.__globals__.get(name) for name in value.__code__.co_names}
    own = {name: _rebound(each, copies, done) for name, each in named.items() if _holds(each)}
    if not (cells or own or value.__defaults__):
        return value
    around = {**value.__globals__, **own} if own else value.__globals__
    found = FunctionType(value.__code__, around, value.__name__, None, cells)
    done[id(value)] = found
    found.__kwdefaults__ = value.__kwdefaults__
    found.__defaults__ = _rebound(value.__defaults__, copies, done)
    for cell, old in zip(cells, value.__closure__ or (), strict=True):
        try:
            held = old.cell_contents
        except ValueError:  # nothing is in it yet
            continue
        cell.cell_contents = _rebound(held, copies, done)
    return found
