"""NumPy source to be read: one assignment an equation. (The runtime's own is in numpy.py.)"""

from __future__ import annotations

from collections.abc import Iterable

from pullback.emit.target.language import ArrayLanguage, Task
from pullback.emit.target.module import array_function, module
from pullback.ir.scalar.primitives import Primitive

RESERVED = frozenset(
    {"np", "expit", "ndtr", "erf", "logsumexp", "params", "inputs", "value_and_grad"}
)


class _Readable(ArrayLanguage):
    def spelled(self, row: Primitive) -> str | None:
        """A row's own spelling, or the one that writes into an array, without that array."""
        if self.key in row.code or not isinstance(row.numpy, str):
            return row.code.get(self.key)
        return row.numpy.replace("{x}", "x").replace(", out={out}", "")


NUMPY = _Readable(
    key="numpy",
    module="np",
    imports=("import numpy as np",),
    maximum="np.maximum(a, b)",
    minimum="np.minimum(a, b)",
    where="np.where(c, a, b)",
    sqrt="np.sqrt(a)",
    axis="axis",
    max_over="np.max(a, axis=o)",
    logsumexp="logsumexp(a, axis=o)",
    permute="a.transpose",
    cast="a.astype(d)",
    whole="int",
    pad="np.pad",
    argmax="np.argmax(a, axis=o)",
    triangle="np.flatnonzero(np.tri(n).T)",
    add_at="np.add.at(z, i, a)",
)


def emit(tasks: Iterable[Task], title: Iterable[str]) -> str:
    """A NumPy module with one function a task; it needs SciPy only for special functions."""
    parts = [array_function(task, NUMPY) for task in tasks]
    text = "\n".join(line for part in parts for line in part)
    special = [name for name in ("erf", "expit", "logsumexp", "ndtr") if f"{name}(" in text]
    scipy = [f"from scipy.special import {', '.join(special)}"] if special else []
    return module(title, [*NUMPY.imports, *scipy], parts)
