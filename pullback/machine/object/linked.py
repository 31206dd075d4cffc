"""Object code that can be called in this process; LLVM alone loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from llvmlite import binding

from pullback.errors import ConfigError
from pullback.machine.object.processor import linker

_number = count()


def linked(
    code: bytes, name: str, known: Mapping[str, int] | None = None, others: Sequence[str] = ()
) -> Any:
    """The addresses of a function, and of others, by name, as long as what comes back is held.

    ``known`` says where functions are that the code calls; those of the C library it finds.
    Raises ConfigError for code without that function, or with symbols that are unknown here.
    """
    builder = binding.JITLibraryBuilder().add_object_img(code).add_current_process()
    for symbol, address in (known or {}).items():
        builder.import_symbol(symbol, address)
    for symbol in (name, *others):
        builder.export_symbol(symbol)
    try:
        return builder.link(linker(), f"{name} {next(_number)}")
    except RuntimeError as fault:
        raise ConfigError(f"{name} cannot be loaded: {fault}") from fault
