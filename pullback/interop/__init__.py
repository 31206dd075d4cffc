"""Networks in and out: torch, jax, onnx. Each library loads when it is first used."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.interop.jax import JaxNetwork, to_jax
    from pullback.interop.onnx.read import from_onnx
    from pullback.interop.onnx.write import to_onnx
    from pullback.interop.read_module import read_module
    from pullback.interop.torch.convert import from_torch
    from pullback.interop.torch.write import to_torch

lazy(
    __name__,
    {
        "JaxNetwork": "pullback.interop.jax",
        "from_onnx": "pullback.interop.onnx.read",
        "from_torch": "pullback.interop.torch.convert",
        "read_module": "pullback.interop.read_module",
        "to_jax": "pullback.interop.jax",
        "to_onnx": "pullback.interop.onnx.write",
        "to_torch": "pullback.interop.torch.write",
    },
)

__all__ = [
    "JaxNetwork",
    "from_onnx",
    "from_torch",
    "read_module",
    "to_jax",
    "to_onnx",
    "to_torch",
]
