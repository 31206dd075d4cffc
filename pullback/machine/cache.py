"""Compiled code on disk, so that the next process need not compile it.

What lies on disk is not believed: an entry is used only if this user wrote it, nobody else could
have, its digest fits, and its whole key is the one asked for. Anything else counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import DataError
from pullback.files import PART, write_atomically

VARIABLE = "PULLBACK_CACHE"
SUFFIX = ".code"
LIMIT = 256 * 2**20  # bytes
_MAGIC = b"pullback code 1\n"
_LENGTHS = struct.Struct("<QQ")  # of the header and of the code
_LEFT_OVER = 3600  # seconds after which a half-written file is nobody's
ROOMS = ("machine", "ir", "vmath", "nn", "calculus", "emit", "run")  # whose source makes the code


@dataclass(frozen=True)
class Entry:
    """Machine code and what is to be known about it, which JSON can hold."""

    code: bytes
    meta: Mapping[str, Any] = field(default_factory=dict)


class Cache:
    """Entries by key in one folder; ``folder`` None keeps nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = Cache(Path(folder))
    ...     cache.put("a key", Entry(b"code", {"size": 3}))
    ...     cache.get("a key"), cache.get("another key")
    (Entry(code=b'code', meta={'size': 3}), None)
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self.folder, self._limit = folder, limit

    def get(self, key: str) -> Entry | None:
        """The entry of a key, or None if there is none that can be trusted."""
        if self.folder is None or not _is_ours(self.folder):
            return None
        path = self._path(self.folder, key)
        try:
            entry = _decoded(_read(path), key)
        except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError):
            return None
        with suppress(OSError):
            os.utime(path)  # it was used: others are older
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry if that is possible, in place of the one that was there."""
        if self.folder is None:
            return
        content = _encoded(key, entry)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if len(content) > self._limit or not _is_ours(self.folder):
                return
            path = self._path(self.folder, key)
            write_atomically(path, lambda part: part.write_bytes(content), mode=0o600)
            self._evict(self.folder)
        except (OSError, DataError):
            return  # a full disk, or a folder that cannot be written to

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / (hashlib.sha256(key.encode()).hexdigest()[:40] + SUFFIX)

    def _evict(self, folder: Path) -> None:
        """Remove what was used longest ago until the rest fits, and what a crash left behind."""
        found, total = [], 0
        for each in os.scandir(folder):
            facts = each.stat(follow_symlinks=False)
            if each.name.endswith(SUFFIX):
                found.append((facts.st_mtime_ns, facts.st_size, each.path))
                total += facts.st_size
            elif each.name.endswith(PART) and facts.st_mtime < time.time() - _LEFT_OVER:
                Path(each.path).unlink(missing_ok=True)
        for _, size, path in sorted(found):
            if total <= self._limit:
                break
            Path(path).unlink(missing_ok=True)
            total -= size


def default_cache() -> Cache:
    """The user's cache: ``PULLBACK_CACHE``, where empty or "off" keeps nothing, or XDG's folder."""
    named = os.environ.get(VARIABLE)
    try:
        if named is not None:
            off = named.strip().lower() in ("", "off")
            return Cache(None if off else Path(named).expanduser())
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return Cache((base if base.is_absolute() else Path.home() / ".cache") / "pullback")
    except RuntimeError:  # there is no home
        return Cache(None)


def cache_key(named: Mapping[str, str]) -> str:
    """The text that tells apart all that may change the code: what is named, and what is here.

    Those are the versions of Python, NumPy, LLVM, Numba and pullback (the source files of ``ROOMS``
    by size and time), Numba's settings, and the processor with its features.
    """
    return json.dumps({"of": dict(named), "here": _here()}, sort_keys=True, ensure_ascii=False)


@cache
def _here() -> dict[str, str]:
    import llvmlite
    from llvmlite import binding

    settings = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    return {
        "pullback": _sources([Path(__file__).parents[1] / room for room in ROOMS]),
        "python": sys.version,
        "numpy": np.__version__,
        "llvm": f"{llvmlite.__version__} {binding.llvm_version_info}",
        "numba": _numba_version(),
        "settings": json.dumps(settings, sort_keys=True),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": binding.get_host_cpu_name(),
        "features": binding.get_host_cpu_features().flatten(),
    }


def _numba_version() -> str:
    """Numba's own words; Numba itself and the metadata of packages take longer to import."""
    spec = find_spec("numba")
    if spec is None or spec.origin is None:
        return "none"
    return Path(spec.origin).with_name("_version.py").read_text(encoding="utf-8")


def _sources(folders: Sequence[Path]) -> str:
    """A digest of the source files below some folders by path, size and time."""
    digest = hashlib.sha256()
    waiting = [os.fspath(folder) for folder in folders]
    while waiting:
        for each in sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name):
            if each.is_dir() and each.name != "__pycache__":
                waiting.append(each.path)
            elif each.name.endswith(".py"):
                facts = each.stat()
                told = f"{each.path}\0{facts.st_size}\0{facts.st_mtime_ns}\0"
                digest.update(told.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _is_ours(folder: Path) -> bool:
    try:
        return stat.S_ISDIR((facts := folder.stat()).st_mode) and _is_private(facts)
    except OSError:
        return False


def _is_private(facts: os.stat_result) -> bool:
    """Whether this user owns it and nobody else may write to it."""
    if os.name != "posix":
        return True
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: Path) -> bytes:
    """The content of a regular file of ours; raises OSError for any other."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or not _is_private(facts):
            raise OSError(f"{path} is not a file of ours")
        return file.read()


def _encoded(key: str, entry: Entry) -> bytes:
    header = json.dumps({"key": key, "meta": dict(entry.meta)}).encode()
    content = _MAGIC + _LENGTHS.pack(len(header), len(entry.code)) + header + entry.code
    return content + hashlib.sha256(content).digest()


def _decoded(content: bytes, key: str) -> Entry:
    """The entry in a file; raises ValueError or its kin where it is not one of this key."""
    digest = hashlib.sha256()
    start = len(_MAGIC) + _LENGTHS.size
    header, code = _LENGTHS.unpack(content[len(_MAGIC) : start])
    end = start + header + code
    digest.update(content[:end])
    if content[: len(_MAGIC)] != _MAGIC or content[end:] != digest.digest():
        raise ValueError("not an entry as it was written")
    told = json.loads(content[start : start + header])
    if told["key"] != key:
        raise ValueError("an entry of another key")
    return Entry(content[start + header : end], told["meta"])
