"""Compiled code on disk, so that the next process need not compile it.

What lies on disk is not believed: an entry is used only if it is signed with this user's secret,
nobody else could have written it, and its whole key is the one asked for. Anything else counts as
missing. Where nothing can be kept, code is compiled in each process, and a warning says so once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import platform
import stat
import struct
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pullback.errors import PullbackError, StorageError
from pullback.files import LOCK, PART, locked, write_atomically
from pullback.machine.object.secret import is_private, read_private, secret

VARIABLE = "PULLBACK_CACHE"
SUFFIX = ".code"
LIMIT = 256 * 2**20  # bytes
_MAGIC = b"pullback code 2\n"
_LENGTHS = struct.Struct("<QQ")  # of the header and of the code
_LEFT_OVER = 3600  # seconds after which a half-written file, or a lock, is nobody's
_PATIENCE = 60.0  # seconds to wait for another process that compiles the same
ROOMS = (
    "machine",
    "ir",
    "vmath",
    "nn",
    "calculus",
    "emit",
    "net",
    "data",
    "train",
    "bench/networks",
)  # whose source makes the code

Loaded = TypeVar("Loaded")


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

    def obtain(
        self, key: str, load: Callable[[Entry], Loaded], make: Callable[[], Entry]
    ) -> Loaded:
        """What ``load`` makes of a key's entry; one that is missing, or wrong, is made and kept.

        Processes that need the same wait for the first, and load what it has made.
        """
        found = self._loaded(key, load)
        if found is not None:
            return found
        with self._alone(key):
            found = self._loaded(key, load)
            if found is None:
                entry = make()
                self.put(key, entry)
                found = load(entry)
        return found

    def get(self, key: str) -> Entry | None:
        """The entry of a key, or None if there is none that can be trusted."""
        if self.folder is None:
            return None
        path = self._path(self.folder, key)
        try:
            _check_folder(self.folder)
            signer = secret()
        except FileNotFoundError:
            return None  # nothing has been put there yet
        except OSError as fault:
            _say(str(fault))
            return None
        try:
            entry = _decoded(read_private(path, self._limit), key, signer)
        except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError):
            return None
        with suppress(OSError):
            os.utime(path)  # it was used: others are older
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry if that is possible, in place of the one that was there."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_folder(self.folder)
            content = _encoded(key, entry, secret())
            if len(content) > self._limit:
                return
            path = self._path(self.folder, key)
            if path.is_symlink() or not path.is_file():
                path.unlink(missing_ok=True)  # nothing that we put there
            write_atomically(path, content, mode=0o600)
            self._evict(self.folder)
        except OSError as fault:  # a full disk, or a folder that cannot be written to
            _say(str(fault))

    def _loaded(self, key: str, load: Callable[[Entry], Loaded]) -> Loaded | None:
        entry = self.get(key)
        if entry is None:
            return None
        try:
            return load(entry)
        except (PullbackError, LookupError, TypeError, ValueError):
            return None  # an entry that says something else than it should: as if there were none

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """While no other process makes this entry, as far as the folder can tell."""
        with ExitStack() as stack:
            if self.folder is not None:
                with suppress(OSError):
                    self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    place = self._path(self.folder, key).with_suffix("")
                    stack.enter_context(locked(place, _PATIENCE))
            yield

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / (hashlib.sha256(key.encode()).hexdigest()[:40] + SUFFIX)

    def _evict(self, folder: Path) -> None:
        """Remove what was used longest ago until the rest fits, and what a crash left behind."""
        found, total, old = [], 0, time.time() - _LEFT_OVER
        for each in os.scandir(folder):
            with suppress(OSError):  # another process was faster
                facts = each.stat(follow_symlinks=False)
                if each.name.endswith(SUFFIX):
                    found.append((facts.st_mtime_ns, facts.st_size, each.path))
                    total += facts.st_size
                elif each.name.endswith((PART, LOCK)) and facts.st_mtime < old:
                    os.unlink(each.path)
        for _, size, path in sorted(found):
            if total <= self._limit:
                break
            with suppress(OSError):
                os.unlink(path)
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

    Those are the versions of Python, NumPy and LLVM, the source files of ``ROOMS``, and the
    processor with its features.
    """
    return json.dumps({"of": dict(named), "here": _here()}, sort_keys=True, ensure_ascii=False)


@cache
def _here() -> dict[str, str]:
    import llvmlite
    from llvmlite import binding

    return {
        "pullback": _sources([Path(__file__).parents[2] / room for room in ROOMS]),
        "python": sys.version,
        "numpy": np.__version__,
        "llvm": f"{llvmlite.__version__} {binding.llvm_version_info}",
        "system": f"{platform.system()} {platform.machine()}",
        "processor": binding.get_host_cpu_name(),
        "features": binding.get_host_cpu_features().flatten(),
    }


def _sources(folders: Sequence[Path]) -> str:
    """A digest of the names and the content of the source files below some folders."""
    digest = hashlib.sha256()
    for folder in folders:
        waiting = [(os.fspath(folder), folder.name)]
        while waiting:
            place, known_as = waiting.pop()
            for each in sorted(os.scandir(place), key=lambda entry: entry.name):
                name = f"{known_as}/{each.name}"
                if each.name.endswith(".py"):
                    with open(each.path, "rb") as file:
                        content = file.read()
                    digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
                    digest.update(content)
                elif each.is_dir() and each.name != "__pycache__":
                    waiting.append((each.path, name))
    return digest.hexdigest()


def _check_folder(folder: Path) -> None:
    """Raise StorageError for what is no folder of this user's alone."""
    facts = folder.stat()
    if not stat.S_ISDIR(facts.st_mode):
        raise StorageError(f"{folder} is not a folder")
    if not is_private(facts):
        raise StorageError(
            f"{folder} belongs to another user, or others may write to it (chmod 700)"
        )


@cache
def _say(reason: str) -> None:
    warnings.warn(
        f"compiled code is not cached: {reason}. Training works, but compiles in each process; set "
        f"{VARIABLE} to a folder that only you can write to, or to off",
        stacklevel=3,
    )


def _encoded(key: str, entry: Entry, signer: bytes) -> bytes:
    header = json.dumps({"key": key, "meta": dict(entry.meta)}).encode()
    content = _MAGIC + _LENGTHS.pack(len(header), len(entry.code)) + header + entry.code
    return content + hmac.digest(signer, content, "sha256")


def _decoded(content: bytes, key: str, signer: bytes) -> Entry:
    """The entry in a file; raises ValueError or its kin where it is not one of this key."""
    start = len(_MAGIC) + _LENGTHS.size
    header, code = _LENGTHS.unpack(content[len(_MAGIC) : start])
    end = start + header + code
    signed = hmac.digest(signer, content[:end], "sha256")
    if content[: len(_MAGIC)] != _MAGIC or not hmac.compare_digest(content[end:], signed):
        raise ValueError("not an entry as this user wrote it")
    told = json.loads(content[start : start + header])
    if told["key"] != key:
        raise ValueError("an entry of another key")
    return Entry(content[start + header : end], told["meta"])
