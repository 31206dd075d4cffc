"""An array at an address, for compiled code."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def array_at() -> Any:
    """(address, shape) → the C-contiguous array that lies there; it does not own its memory.

    Numba loads here. Its own ``carray`` compiles a function for each kind of array.
    """
    types, intrinsic = import_module("numba.types"), import_module("numba.extending").intrinsic
    populate_array: Any = import_module("numba.np.arrayobj").populate_array
    unpack_tuple: Any = import_module("numba.core.cgutils").unpack_tuple

    @intrinsic  # type: ignore[untyped-decorator]
    def carray(typing_context: Any, address: Any, shape: Any) -> Any:
        kind = types.Array(address.dtype, len(shape), "C")

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            given = zip(unpack_tuple(builder, args[1]), shape, strict=True)
            lengths = [context.cast(builder, each, of, types.intp) for each, of in given]
            size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
            step = itemsize = context.get_constant(types.intp, size)
            strides: list[Any] = []
            for length in reversed(lengths):
                strides.insert(0, step)
                step = builder.mul(step, length)
            array = context.make_array(kind)(context, builder)
            populate_array(array, args[0], lengths, strides, itemsize, None)
            return array._getvalue()

        return kind(address, shape), generate

    return carray
