"""How a module is called: which arguments of its forward are inputs, and how they are given."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.torch.copies import wrapped

_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class ForwardCall:
    """The inputs of a forward by name, the first ``placed`` of them by place, others by keyword."""

    names: tuple[str, ...]
    placed: int

    def arguments(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What forward takes where these are its inputs, in order."""
        named = zip(self.names[self.placed :], values[self.placed :], strict=True)
        return tuple(values[: self.placed]), dict(named)


ONE = ForwardCall(("x",), 1)


def call_of(module: Any, example: Any) -> tuple[ForwardCall, dict[str, Any] | None]:
    """The inputs that a module takes, and an example of each, if there is one.

    Without an example the inputs are the arguments that have no default. An example is one array, a
    tuple of arrays by place, or a dict by name.
    Raises ConversionError for other inputs than forward takes.
    """
    takes = _taken(wrapped(module).forward)
    names = [each.name for each in takes if each.kind in _PLACED]
    only = [each.name for each in takes if each.kind is inspect.Parameter.KEYWORD_ONLY]
    needed = [e.name for e in takes if e.name in (*names, *only) and e.default is inspect._empty]
    open_ = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in takes)
    if not (names or only or open_):
        raise ConversionError("the module's forward takes no input")
    if example is None or not _is_several(example):
        used = needed or (names or only or ["x"])[:1]
        if example is not None and len(used) > 1:
            told = ", ".join(used)
            raise ConversionError(
                f"the module takes {len(used)} inputs: {told}; give example=({told})"
            )
        given = None if example is None else {used[0]: example}
    else:
        given = _given(example, names, only, needed, open_)
        used = list(given)
    placed = next((at for at, name in enumerate(used) if name not in names[at : at + 1]), len(used))
    return ForwardCall(tuple(used), len(used) if open_ else placed), given


def _taken(forward: Any) -> list[inspect.Parameter]:
    """The arguments of a forward; TorchScript has them in a schema."""
    if not hasattr(forward, "schema"):
        return list(inspect.signature(forward).parameters.values())
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=each.default_value if each.has_default_value() else inspect.Parameter.empty,
        )
        for each in forward.schema.arguments[1:]
    ]


def _is_several(example: Any) -> bool:
    return isinstance(example, Mapping) or (
        isinstance(example, (tuple, list)) and any(hasattr(each, "ndim") for each in example)
    )


def _given(
    example: Any, names: list[str], only: list[str], needed: list[str], open_: bool
) -> dict[str, Any]:
    """The examples by name, in the order in which forward takes its inputs."""
    what = f"example is a {type(example).__name__} of {len(example)}"
    told = f"the module takes {', '.join((*names, *only))}"
    if isinstance(example, Mapping):
        given = {name: example[name] for name in (*names, *only) if name in example}
        if len(given) < len(example) or any(name not in given for name in needed):
            raise ConversionError(f"{what}, {', '.join(map(str, example))}; {told}")
        return given
    if not open_ and len(names) == 1 < len(example):
        raise ConversionError(
            f"{what}; the module takes one input: give one array (batch, features)"
        )
    if not open_ and not len(needed) <= len(example) <= len(names):
        raise ConversionError(f"{what}; {told}")
    stem = names[-1] if names else "x"
    names = [*names, *(f"{stem}{at}" for at in range(len(example) - len(names)))]
    return dict(zip(names, example, strict=False))
