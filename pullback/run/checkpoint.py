"""Parameters on disk: safetensors, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import DataError
from pullback.run.compiled import Array


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Let ``write`` fill a temporary file, then move it to ``path``: never half a file."""
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {path.parent}")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        write(Path(temporary))
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(path: str | Path, params: Mapping[str, Array], **facts: Any) -> Path:
    """Write parameters, with some facts about them, to a safetensors file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save(Path(folder) / "net.safetensors", {"w": np.ones(2)}, epoch=3)
    ...     load(file)
    ({'w': array([1., 1.])}, {'epoch': 3})
    """
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(value) for name, value in params.items()}
    metadata = {name: json.dumps(value) for name, value in facts.items()}
    return write_atomically(path, lambda file: save_file(arrays, file, metadata=metadata))


def load(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The parameters of a safetensors file, and the facts stored with them.

    Raises DataError for a file that is missing or is not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            facts = {k: json.loads(v) for k, v in (file.metadata() or {}).items()}
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, facts
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (SafetensorError, ValueError) as fault:
        raise DataError(f"{path} is not a file of parameters: {fault}") from None
