"""A torch module where a network is named: what the command line trains, checks and forecasts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.measured import measured
from pullback.interop.torch.convert import from_torch
from pullback.interop.torch.tensors import is_module
from pullback.net.program import Array
from pullback.net.recipe import Recipe
from pullback.nn import SquaredError


def module_recipe(
    found: Any, row: Array | None = None, picture: tuple[int, int] | None = None
) -> Recipe | None:
    """The recipe of a torch module, with the weights that it has; None of anything else.

    ``row`` (features,) is a sample of the data, and ``picture`` its (height, width), as which a
    convolution reads it. Raises ConversionError for a module that cannot be read, as where nobody
    says what a sample is.
    """
    if not is_module(found):
        return None
    first = next(found.parameters(), None)
    rows = None if row is None else row[None].astype("float32")
    pictures = first is not None and first.dim() == 4 and picture is not None and rows is not None
    try:
        net, params = _read(found, rows, picture if pictures else None)
    except ConversionError as fault:
        if rows is not None:
            raise
        raise ConversionError(f"{fault}; on the command line: --shape 1,28,28, or data") from None
    return Recipe(net.model, initial=measured(net, params), x=net.declared, weights=params)


def _read(found: Any, rows: Array | None, picture: tuple[int, int] | None) -> Any:
    """The network, the loss being chosen by the data: as pictures, or as rows that it shapes."""
    if rows is None or picture is None:
        return from_torch(found, SquaredError(), rows)
    try:
        return from_torch(found, SquaredError(), rows.reshape(1, 1, *picture))
    except ConversionError:
        with suppress(ConversionError):
            return from_torch(found, SquaredError(), rows)
        raise
