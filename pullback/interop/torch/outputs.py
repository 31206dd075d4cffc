"""The outputs of a module: a tensor, or several in a tuple, a dict, or a class with fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.rows import Held, Ref


def parts_of(found: Any) -> Any:
    """What has several parts as a dict or a tuple; anything else is itself."""
    if isinstance(found, Mapping):
        return {key: value for key, value in found.items() if value is not None}
    if hasattr(found, "_asdict"):
        return found._asdict()
    if is_dataclass(found) and not isinstance(found, (Ref, Held, type)):
        named = {each.name: getattr(found, each.name) for each in fields(found)}
        return {name: value for name, value in named.items() if value is not None}
    return found


def chosen(found: Any, output: int | str) -> Any:
    """The output that is meant, by its place or its name.

    Raises ConversionError for one that is not there.
    """
    found = parts_of(found)
    if not isinstance(found, (tuple, list, dict)):
        if output != 0:
            raise ConversionError(f"output is {output!r}, but the module gives back one tensor")
        return found
    by_name = found if isinstance(found, dict) else dict(enumerate(found))
    if output in by_name:
        return by_name[output]
    if isinstance(output, int) and 0 <= output < len(by_name):
        return list(by_name.values())[output]
    raise ConversionError(
        f"the module has no output {output!r}; its outputs are {', '.join(map(repr, by_name))}"
    )
