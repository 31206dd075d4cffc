"""Arrays at an address, for compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from llvmlite import ir


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
            return array_value(context, builder, kind, args[0], lengths, strides)

        return kind(address, shape), generate

    return carray


def array_value(
    context: Any, builder: Any, kind: Any, data: Any, shape: Sequence[Any], strides: Sequence[Any]
) -> Any:
    """Code that makes an array of a kind, as Numba holds it; the memory is somebody else's."""
    size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    count = shape[0]
    for length in shape[1:]:
        count = builder.mul(count, length)
    fields = {"nitems": count, "itemsize": count.type(size), "data": data}
    place = context.data_model_manager[kind].get_field_position
    value = ir.Constant(context.get_value_type(kind), None)  # nobody's: no owner, no parent
    for name, field in fields.items():
        value = builder.insert_value(value, field, place(name))
    for name, numbers in (("shape", shape), ("strides", strides)):
        for axis, number in enumerate(numbers):
            value = builder.insert_value(value, number, [place(name), axis])
    return value


def array_parts(
    context: Any, builder: Any, kind: Any, value: Any
) -> tuple[Any, list[Any], list[Any]]:
    """Code that takes an array apart: address, shape, and strides in bytes."""
    place = context.data_model_manager[kind].get_field_position
    shape, strides = (
        [builder.extract_value(value, [place(name), axis]) for axis in range(kind.ndim)]
        for name in ("shape", "strides")
    )
    return builder.extract_value(value, place("data")), shape, strides
