"""The user's secret: what is signed with it in the cache was put there by this user."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from pullback.errors import StorageError

_NAME, _BYTES = "cache.key", 32
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# a link is not followed, and a pipe not waited for
_READ = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"):
    _READ |= getattr(os, _flag, 0)


def secret() -> bytes:
    """32 random bytes that nobody else can read, made when they are first asked for.

    They lie in the user's folder for data, never in the cache. Raises StorageError where they
    cannot be kept from others.
    """
    from platformdirs import user_data_dir

    folder = Path(user_data_dir("pullback", appauthor=False))
    if not folder.is_absolute():
        raise StorageError("this user has no home folder for the key of the cache")
    path = folder / _NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(folder.stat()):
            raise StorageError(
                f"{folder} belongs to another user, or others may write to it: chmod 700 it"
            )
        return _key(path) or _made(path)
    except StorageError:
        raise
    except OSError as fault:
        raise StorageError(f"no key can be kept in {path}: {fault.strerror or fault}") from fault


def is_private(facts: os.stat_result, others: int = stat.S_IWGRP | stat.S_IWOTH) -> bool:
    """Whether this user owns a file or folder, and ``others`` is nothing that others may do."""
    if os.name != "posix":
        return True
    return facts.st_uid == os.geteuid() and not facts.st_mode & others


def read_private(path: Path, most: int, others: int = stat.S_IWGRP | stat.S_IWOTH) -> bytes:
    """The content of a regular file of this user's; raises OSError for any other, or a longer one.

    It never waits: a pipe, or a device, is refused.
    """
    handle = os.open(path, _READ)
    with open(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or not is_private(facts, others):
            raise OSError(f"{path} is not a file of this user's alone")
        if facts.st_size > most:
            raise OSError(f"{path} is too long")
        return file.read(most)


def _key(path: Path) -> bytes | None:
    """The key that is there, if nobody else could have read or written it."""
    try:
        found = read_private(path, _BYTES, others=stat.S_IRWXG | stat.S_IRWXO)
    except OSError:
        return None
    return found if len(found) == _BYTES else None


def _made(path: Path) -> bytes:
    """A new key, or that of a process which was faster."""
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        with open(os.open(part, _NEW, 0o600), "wb") as file:
            file.write(os.urandom(_BYTES))
        part.chmod(0o600)  # whatever the umask
        try:
            os.link(part, path)  # a name appears with its content, and only if it is new
        except OSError:
            if _key(path) is None:  # what is there is no key, or links are unknown here
                os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    found = _key(path)
    if found is None:
        raise StorageError(f"{path} cannot be kept from others")
    return found
