"""Where a program is emitted to: one file a language."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.emit.target import javascript, jax, numba, numpy, torch

LANGUAGES = ("numpy", "numba", "jax", "torch", "javascript")  # of code that people read

lazy(__name__, dict.fromkeys(LANGUAGES, __name__))

__all__ = ["LANGUAGES", "javascript", "jax", "numba", "numpy", "torch"]
