"""Files written whole or not at all, and by one process at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pullback.errors import ConfigError, PullbackError, StorageError

PART, LOCK = ".part", ".lock"  # what a killed process leaves behind is known by these endings
_PROBE = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_LONGEST = 60  # characters of a name that the names of files beside it repeat
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_FIXES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EROFS: "choose a folder that you can write to",
    errno.EACCES: "choose a place that you can write to",
    errno.EPERM: "choose a place that you can write to",
}


def write_atomically(path: str | Path, content: bytes, mode: int | None = None) -> Path:
    """Write a file beside the one that a path names, then move it there: never half a file.

    Links are followed: what they name is replaced. Owner and permissions stay those of the file
    that was there, and a new file has the usual ones, unless ``mode`` says which. Other hard links
    to the old file keep the old content. Raises StorageError where that cannot be done.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "greeting", b"hello").read_bytes()
    b'hello'
    """
    with storing(path):
        target, before = _target(path)
        part = _part(target)
        try:
            usual = before is None and mode is None
            handle = os.open(part, _NEW, 0o666 if usual else 0o600)
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                if mode is not None:
                    part.chmod(mode)
                elif before is not None:
                    _restyle(part, target, before)
                os.fsync(handle)
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        _settle(target.parent)
    return Path(os.fsdecode(path))


def writable(path: str | Path) -> Path:
    """The path, if a file can be written there; raises StorageError otherwise, before any work."""
    with storing(path):
        target, _ = _target(path)
        part = _part(target)
        os.close(os.open(part, _NEW, 0o600))
        part.unlink()
    return Path(os.fsdecode(path))


@contextmanager
def locked(path: str | Path, patience: float = 0.0) -> Iterator[None]:
    """Hold a path against every other thread and process, by a lock file beside it.

    The operating system ends the lock when its process ends, however that happens. After
    ``patience`` seconds in vain it raises StorageError, which says who holds the path.
    """
    from filelock import FileLock, Timeout

    with storing(path):
        target, _ = _target(path)
        file = beside(target, LOCK)
        lock = FileLock(file, timeout=patience, poll_interval=0.02)
        try:
            lock.acquire()
        except Timeout:
            raise StorageError(
                f"{os.fsdecode(path)} is in use by {_holder(file)}; "
                "wait until that has ended, or choose another path"
            ) from None
    here = os.getpid()
    try:
        with suppress(OSError):
            about = {"process": here, "host": platform.node(), "since": time.time()}
            file.write_text(json.dumps(about), encoding="utf-8")
        yield
    finally:
        if os.getpid() == here:  # in a process that was forked meanwhile it is not held
            with suppress(OSError):
                file.unlink(missing_ok=True)  # while it is held, so that nobody else's goes
        lock.release()


def clear_parts(path: Path) -> None:
    """Remove what killed processes left half-written beside a path that is held."""
    first = beside(path, ".").name
    with suppress(OSError):
        for each in os.scandir(path.parent):
            if each.name.startswith(first) and each.name.endswith(PART):
                Path(each.path).unlink(missing_ok=True)


def beside(path: Path, ending: str) -> Path:
    """The path of a hidden file that belongs to another one; its name is never too long.

    >>> beside(Path("runs/net.safetensors"), ".lock").name
    '.net.safetensors.lock'
    """
    name = path.name
    if len(name) > _LONGEST:
        digest = hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()
        name = name[: _LONGEST - len(digest)] + digest
    return path.with_name(f".{name}{ending}")


def resolved(path: Path) -> Path:
    """Where a path leads if it is a link, else the path as it is."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


@contextmanager
def storing(path: str | Path) -> Iterator[None]:
    """What the system says against a file becomes a StorageError with the fix."""
    try:
        yield
    except PullbackError:
        raise
    except (OSError, ValueError) as fault:  # ValueError: a zero byte in a name
        number = fault.errno if isinstance(fault, OSError) else None
        reason = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
        fix = _FIXES.get(number or 0, "choose another path")
        told = StorageError(f"cannot write {path}: {reason}; what was there is as it was; {fix}")
        told.errno = number
        raise told from fault


def _target(path: str | Path) -> tuple[Path, os.stat_result | None]:
    """The regular file that a path leads to, and what is known of it if it exists."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        text = ""
    if not text:
        raise ConfigError(f"the path is {path!r}; expected the path of a file")
    given = Path(text)
    target = resolved(given)
    try:
        facts = os.stat(given)
    except (FileNotFoundError, NotADirectoryError):
        if not target.parent.is_dir():
            raise StorageError(
                f"cannot write {path}: there is no folder {target.parent}; create it, "
                "or choose another path"
            ) from None
        _refuse_planted(given)
        return target, None
    if not stat.S_ISREG(facts.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(facts.st_mode)), "no file")
        raise StorageError(f"cannot write {path}: it is {kind}; expected the path of a file")
    os.close(os.open(given, _PROBE))  # the system says whether this user may
    # a file that is no link may be replaced meanwhile
    if target != given and not os.path.samestat(os.stat(target), facts):
        raise StorageError(f"cannot write {path}: its link leads to no path; choose another path")
    return target, facts


def _refuse_planted(path: Path) -> None:
    """Where anybody may leave a link, one of somebody else's that leads to nothing is a trap."""
    if not path.is_symlink() or os.name != "posix":
        return
    link, folder = path.lstat(), path.parent.stat()
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if shared and link.st_uid not in (os.geteuid(), folder.st_uid):
        raise StorageError(f"cannot write {path}: it is another user's link; choose another path")


def _restyle(part: Path, target: Path, facts: os.stat_result) -> None:
    """Give the new file the owner, permissions and attributes of the one that it replaces."""
    if hasattr(os, "chown"):
        with suppress(OSError):  # only root may give files away
            os.chown(part, facts.st_uid, facts.st_gid)
    shutil.copystat(target, part)
    os.utime(part)


def _part(path: Path) -> Path:
    return beside(path, f".{os.urandom(6).hex()}{PART}")


def _holder(file: Path) -> str:
    """Who holds a lock file, as far as that can be read."""
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(about["since"]))
        return f"process {int(about['process'])} on {about['host']!r}, since {since}"
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return "another process"


def _settle(folder: Path) -> None:
    """Make the disk remember the names in a folder, where the system can be asked to."""
    if os.name == "posix":
        with suppress(OSError):  # a folder that may be written but not read
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
