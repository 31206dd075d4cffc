"""Networks in and out: torch, jax, onnx. Each library loads when it is first used."""

from pullback.interop.jax import JaxNetwork, to_jax
from pullback.interop.onnx.read import from_onnx
from pullback.interop.onnx.write import to_onnx
from pullback.interop.torch.convert import from_torch
from pullback.interop.torch.write import to_torch

__all__ = ["JaxNetwork", "from_onnx", "from_torch", "to_jax", "to_onnx", "to_torch"]
