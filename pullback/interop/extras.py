"""The libraries that only this room needs: loaded when used, named when missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pullback.errors import ConfigError


def library(name: str, extra: str) -> Any:
    """The library of that name; raises ConfigError, naming the extra, where it is not installed.

    >>> library("no_such_library", "torch")
    Traceback (most recent call last):
    pullback.errors.ConfigError: this needs no_such_library: pip install 'pullback[torch]'
    """
    try:
        return import_module(name)
    except ImportError as fault:
        raise ConfigError(f"this needs {name}: pip install 'pullback[{extra}]'") from fault


class Late:
    """A library that loads when something of it is first asked for.

    >>> Late("math", "torch").inf
    inf
    """

    def __init__(self, name: str, extra: str) -> None:
        self._name, self._extra = name, extra

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(library(self._name, self._extra), attribute)
        setattr(self, attribute, found)
        return found
