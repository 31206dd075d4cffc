"""Packages whose names load when somebody first asks for them: the libraries behind are heavy."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    """A package that looks a name up in the module that is its home."""

    _homes: Mapping[str, str]

    def __setattr__(self, name: str, value: Any) -> None:
        # importing the module ``simplify`` must not hide the function ``simplify``
        if isinstance(value, ModuleType) and self._homes.get(name) == value.__name__:
            return
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        home = self._homes.get(name)
        if home is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = None if home == self.__name__ else getattr(import_module(home), name, None)
        if value is None:
            value = import_module(f"{home}.{name}")
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._homes})


def lazy(package: str, homes: Mapping[str, str]) -> None:
    """Let a package find each of some names in its home when it is first asked for.

    The home is the module that has the name, or the package of which it is a module.
    """
    module = sys.modules[package]
    module.__dict__["_homes"] = homes
    module.__class__ = _Lazy
