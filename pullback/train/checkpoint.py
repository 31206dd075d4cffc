"""Parameters on disk: safetensors, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import ConfigError, DataError, DTypeError
from pullback.files import write_atomically
from pullback.foreign import reading, regular_file
from pullback.net.program import Array

_FACTS, _DIGEST = "pullback", "pullback.digest"  # keys of the file's metadata
_KIND = "a safetensors file"


def _widened(data: bytes) -> Array:
    """bfloat16, which is the upper half of a float32, as float32."""
    upper: Array = np.frombuffer(data, "<u2").astype(np.uint32) << 16
    return upper.view(np.float32)


_READERS: dict[str, Callable[[bytes], Array]] = {
    "F64": lambda data: np.frombuffer(data, "<f8").astype(np.float64),
    "F32": lambda data: np.frombuffer(data, "<f4").astype(np.float32),
    "F16": lambda data: np.frombuffer(data, "<f2").astype(np.float32),
    "BF16": _widened,
}


def save(path: str | Path, params: Mapping[str, Array], **facts: Any) -> Path:
    """Write parameters, with some facts about them, to a safetensors file.

    Raises StorageError where the file cannot be written, DTypeError for arrays that are not
    float32 or float64, ConfigError for names and facts that the format cannot hold.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save(Path(folder) / "net.safetensors", {"w": np.ones(2)}, epoch=3)
    ...     load(file)
    ({'w': array([1., 1.])}, {'epoch': 3})
    """
    try:
        content = packed(params, facts)
    except ConfigError as fault:
        raise ConfigError(f"{path} was not written: {fault}") from fault.__cause__
    return write_atomically(path, content)


def packed(params: Mapping[str, Array], facts: Mapping[str, Any]) -> bytes:
    """The content of such a file."""
    from safetensors import SafetensorError
    from safetensors import numpy as safetensors

    arrays = {name: _floats(name, value) for name, value in params.items()}
    try:
        text = json.dumps(facts)
        # its own save_file would leave temporary files of its own behind when killed
        return safetensors.save(arrays, {_FACTS: text, _DIGEST: _digest(arrays, text)})
    except (SafetensorError, TypeError, ValueError, RecursionError) as fault:
        raise ConfigError(
            "its parameters need names that are text, its facts values that JSON can hold; "
            f"found: {fault}"
        ) from fault


def load(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The parameters of a safetensors file, and the facts stored with them, if there are any.

    Half precision (F16, BF16) becomes float32. Raises DataError for a file that is missing, cut
    off, not a safetensors file, or not as it was written, and DTypeError for other kinds of number.
    """
    file = regular_file(path)
    with reading(path, _KIND):
        content = file.read_bytes()
    return unpacked(path, content)


def unpacked(path: str | Path, content: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    """Parameters and facts from the content of a file; raises the errors of ``load``."""
    from safetensors import deserialize

    with reading(path, _KIND):
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
        metadata = _metadata(path, content)
        arrays = {name: _array(path, name, tensor) for name, tensor in tensors}
    text = metadata.get(_FACTS)
    if text is None:
        return arrays, {}  # another program's file
    if metadata.get(_DIGEST) != _digest(arrays, text):
        raise DataError(f"{path} is not as it was written: its digest does not fit its content")
    with reading(path, _KIND):
        facts: dict[str, Any] = json.loads(text)
    if not isinstance(facts, dict):
        raise DataError(f"{path} holds {type(facts).__name__} as its facts; expected an object")
    return arrays, facts


def _floats(name: object, value: Any) -> Array:
    if not isinstance(name, str) or name == "__metadata__":
        raise ConfigError(f"a parameter is called {name!r}; expected another text")
    array = np.asarray(value, order="C")
    kind = array.dtype.newbyteorder("=")
    if kind not in (np.float32, np.float64):
        raise DTypeError(f"{name} has dtype {array.dtype}; expected float32 or float64")
    return array.astype(kind, copy=False)


def _metadata(path: str | Path, content: bytes) -> dict[str, str]:
    """The texts in the header of a file whose header is a right one."""
    size = int.from_bytes(content[:8], "little")

    def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise DataError(f"{path} is damaged: its header holds {name!r} twice")
            found[name] = value
        return found

    header = json.loads(content[8 : 8 + size], object_pairs_hook=unique)
    found: dict[str, str] = header.get("__metadata__") or {}
    return found


def _array(path: str | Path, name: str, tensor: Mapping[str, Any]) -> Array:
    kind = tensor["dtype"]
    if kind not in _READERS:
        known = ", ".join(_READERS)
        raise DTypeError(
            f"{path}: {name!r} is of kind {kind}; expected one of {known}: convert it first"
        )
    return _READERS[kind](tensor["data"]).reshape(tensor["shape"])


def _digest(arrays: Mapping[str, Array], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"\0{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
