"""Arrays at an address, for compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any


@cache
def array_at() -> Any:
    """(address, shape) → the C-contiguous array that lies there; it does not own its memory.

    Numba loads here. Its own ``carray`` compiles a function for each kind of array.
    """
    types, intrinsic = import_module("numba.types"), import_module("numba.extending").intrinsic
    unpack_tuple: Any = import_module("numba.core.cgutils").unpack_tuple

    @intrinsic  # type: ignore[untyped-decorator]
    def carray(typing_context: Any, address: Any, shape: Any) -> Any:
        kind = types.Array(address.dtype, len(shape), "C")

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            given = zip(unpack_tuple(builder, args[1]), shape, strict=True)
            lengths = [context.cast(builder, each, of, types.intp) for each, of in given]
            size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
            step, strides = context.get_constant(types.intp, size), list[Any]()
            for length in reversed(lengths):
                strides.insert(0, step)
                step = builder.mul(step, length)
            return array_struct(context, builder, kind, args[0], lengths, strides)

        return kind(address, shape), generate

    return carray


def array_struct(
    context: Any, builder: Any, kind: Any, data: Any, shape: Sequence[Any], strides: Sequence[Any]
) -> Any:
    """Code that makes an array of a kind, as Numba holds it; the memory is somebody else's."""
    types = import_module("numba.types")
    size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    array = context.make_array(kind)(context, builder)
    populate: Any = import_module("numba.np.arrayobj").populate_array
    populate(array, data, shape, strides, context.get_constant(types.intp, size), None)
    return array._getvalue()
