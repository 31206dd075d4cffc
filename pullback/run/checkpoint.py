"""Parameters on disk: safetensors, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import DataError
from pullback.files import write_atomically
from pullback.run.compiled import Array

_FACTS, _DIGEST = "pullback", "pullback.digest"  # keys of the file's metadata


def save(path: str | Path, params: Mapping[str, Array], **facts: Any) -> Path:
    """Write parameters, with some facts about them, to a safetensors file.

    Raises DataError where nothing can be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save(Path(folder) / "net.safetensors", {"w": np.ones(2)}, epoch=3)
    ...     load(file)
    ({'w': array([1., 1.])}, {'epoch': 3})
    """
    from safetensors import numpy as safetensors

    arrays = {name: np.ascontiguousarray(value) for name, value in params.items()}
    text = json.dumps(facts)
    metadata = {_FACTS: text, _DIGEST: _digest(arrays, text)}
    try:
        # its own save_file would leave temporary files of its own behind when killed
        content = safetensors.save(arrays, metadata)
        return write_atomically(path, lambda file: file.write_bytes(content))
    except OSError as fault:
        raise DataError(f"cannot write {path}: {fault}; what was there is as it was") from fault


def load(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The parameters of a safetensors file, and the facts stored with them, if there are any.

    Raises DataError for a file that is missing, cut off, not a safetensors file, or not as it was
    written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in list(file.keys())}
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (SafetensorError, OSError, ValueError) as fault:
        raise DataError(f"{path} is damaged, or not a safetensors file: {fault}") from None
    text = metadata.get(_FACTS)
    if text is None:
        return arrays, {}  # another program's file
    if metadata.get(_DIGEST) != _digest(arrays, text):
        raise DataError(f"{path} is not as it was written: its digest does not fit its content")
    facts: dict[str, Any] = json.loads(text)
    return arrays, facts


def _digest(arrays: Mapping[str, Array], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"\0{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
