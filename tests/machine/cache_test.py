"""An entry on disk comes back as it was put, or not at all."""

import errno
import hashlib
import hmac
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import warnings

import pytest

from pullback.machine.object import cache as module
from pullback.machine.object.cache import PART, SUFFIX, Cache, Entry, default_cache
from pullback.machine.object.secret import secret

ENTRY = Entry(bytes(range(256)) * 20, {"slots": ["m", "v"], "size": 3})
posix = pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
pytestmark = pytest.mark.filterwarnings("ignore:compiled code is not cached")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Each test has a key of its own, and says again what it said before."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    module._say.cache_clear()
    return tmp_path / "data" / "pullback"


@pytest.fixture
def kept(tmp_path):
    """A cache with one entry, and the file that it lies in."""
    cache = Cache(tmp_path / "cache")
    cache.put("key", ENTRY)
    (path,) = cache.folder.glob(f"*{SUFFIX}")
    assert cache.get("key") == ENTRY
    return cache, path


def test_entry_comes_back_as_it_was_put(kept):
    cache, path = kept
    assert cache.get("key") == ENTRY
    assert cache.get("other") is None
    assert [each.name for each in cache.folder.iterdir()] == [path.name]


def test_entry_is_replaced(kept):
    cache, _ = kept
    cache.put("key", Entry(b"", {}))
    assert cache.get("key") == Entry(b"", {})


def test_no_flipped_byte_is_believed(kept):
    cache, path = kept
    content = path.read_bytes()
    for at in [*range(0, len(content), 37), len(content) - 1]:
        wrong = bytearray(content)
        wrong[at] ^= 1
        path.write_bytes(wrong)
        assert cache.get("key") is None, f"byte {at} of {len(content)}"
    path.write_bytes(content)
    assert cache.get("key") == ENTRY


def test_no_other_length_is_believed(kept):
    cache, path = kept
    content = path.read_bytes()
    for wrong in (b"", content[:10], content[:40], content[:-1], content[:-40], content + b"\0"):
        path.write_bytes(wrong)
        assert cache.get("key") is None, f"{len(wrong)} bytes of {len(content)}"


def test_an_entry_of_another_key_is_not_believed(kept):
    """Even where it lies under the name of this one, with a digest that fits."""
    cache, path = kept
    cache.put("other", ENTRY)
    (other,) = set(cache.folder.glob(f"*{SUFFIX}")) - {path}
    other.replace(path)
    assert cache.get("key") is None
    cache.put("key", ENTRY)
    assert cache.get("key") == ENTRY, "it was not built again"


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_may_write_is_not_believed(kept, mode):
    cache, path = kept
    path.chmod(mode)
    assert cache.get("key") is None


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_is_not_used(kept, mode):
    cache, path = kept
    before = path.read_bytes()
    cache.folder.chmod(mode)
    assert cache.get("key") is None
    cache.put("key", Entry(b"new"))
    assert path.read_bytes() == before


@posix
def test_what_another_user_owns_is_not_believed(kept, monkeypatch):
    cache, _ = kept
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert cache.get("key") is None
    assert cache.get("key") == ENTRY


def test_an_entry_with_a_fresh_digest_is_not_believed(kept):
    """Whoever can write a file, but not read the key, can put nothing in."""
    cache, path = kept
    content = path.read_bytes()[:-32]
    path.write_bytes(content.replace(ENTRY.code, ENTRY.code[::-1]))
    body = path.read_bytes()
    for signed in (
        hashlib.sha256(body).digest(),
        hmac.digest(b"", body, "sha256"),
        hmac.digest(bytes(32), body, "sha256"),
        bytes(32),
        b"",
    ):
        path.write_bytes(body + signed)
        assert cache.get("key") is None
    path.write_bytes(body + hmac.digest(secret(), body, "sha256"))
    assert cache.get("key").code == ENTRY.code[::-1], "the test does not forge what it means to"


def test_the_key_is_made_once_and_is_this_users_alone(data):
    assert len(secret()) == 32
    assert secret() == secret() == (data / "cache.key").read_bytes()
    assert [each.name for each in data.iterdir()] == ["cache.key"]
    if os.name == "posix":
        assert (data / "cache.key").stat().st_mode & 0o777 == 0o600
        assert data.stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("how", ["mode 644", "mode 620", "short", "long", "link", "pipe"])
def test_a_key_that_others_may_know_is_made_anew(kept, data, tmp_path, how):
    cache, _ = kept
    key, old = data / "cache.key", secret()
    match how.split():
        case ["mode", mode]:
            key.chmod(int(mode, 8))
        case ["short"]:
            key.write_bytes(old[:31])
        case ["long"]:
            key.write_bytes(old + b"x")
        case ["link"]:
            key.rename(tmp_path / "elsewhere")
            key.symlink_to(tmp_path / "elsewhere")
        case ["pipe"]:
            key.unlink()
            os.mkfifo(key)
    assert cache.get("key") is None
    assert key.is_file()
    assert not key.is_symlink()
    assert secret() != old
    cache.put("key", ENTRY)
    assert cache.get("key") == ENTRY


@posix
def test_a_key_in_a_folder_that_others_may_write_is_not_used(kept, data):
    cache, path = kept
    before = path.read_bytes()
    data.chmod(0o777)
    with pytest.warns(UserWarning, match="compiled code is not cached: .*chmod 700"):
        assert cache.get("key") is None
    cache.put("key", Entry(b"new"))
    assert path.read_bytes() == before


def test_that_nothing_is_cached_is_said_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for key in "abc":
            Cache(tmp_path / "file").put(key, ENTRY)
            assert Cache(tmp_path / "file").get(key) is None
    assert 1 <= len(told) <= 2
    assert "Training works, but compiles in each process" in str(told[0].message)
    assert (tmp_path / "file").read_text() == "in the way"


@posix
@pytest.mark.parametrize("what", ["pipe", "folder", "socket", "link to a pipe"])
def test_what_is_no_file_is_never_waited_for(kept, tmp_path, monkeypatch, what):
    cache, path = kept
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            monkeypatch.chdir(cache.folder)  # the name of a socket must be short
            end.bind(path.name)
    else:
        os.mkfifo(tmp_path / "pipe" if "link" in what else path)
        if "link" in what:
            path.symlink_to(tmp_path / "pipe")
    assert cache.get("key") is None
    cache.put("key", ENTRY)
    assert cache.get("key") == (None if what == "folder" else ENTRY)


@posix
def test_a_link_is_not_followed(kept, tmp_path):
    cache, path = kept
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.get("key") is None


@posix
def test_nobody_else_may_read_or_write_what_is_made(kept):
    cache, path = kept
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_folder_nothing_is_kept(tmp_path):
    for folder in (None, tmp_path / "file" / "below"):
        (tmp_path / "file").write_text("in the way")
        cache = Cache(folder)
        cache.put("key", ENTRY)
        assert cache.get("key") is None


def test_a_folder_that_cannot_be_written_is_no_fault(kept, monkeypatch):
    cache, _ = kept

    def refused(*_, **__):
        raise PermissionError("read only")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(module, "write_atomically", refused)
    assert cache.get("key") == ENTRY
    cache.put("new", ENTRY)
    assert cache.get("new") is None


def test_what_was_used_longest_ago_goes_first(tmp_path):
    size = len(module._encoded("0", ENTRY, secret()))
    cache = Cache(tmp_path / "cache", limit=3 * size)
    for key in "012":
        cache.put(key, ENTRY)
    for age, path in enumerate(sorted(cache.folder.iterdir(), key=lambda p: p.stat().st_mtime_ns)):
        os.utime(path, (0, 1000 + age))
    assert cache.get("0") == ENTRY  # now "1" is the oldest
    cache.put("3", ENTRY)
    assert [cache.get(key) is not None for key in "0123"] == [True, False, True, True]
    cache.put("large", Entry(bytes(4 * size)))
    assert cache.get("large") is None
    assert cache.get("3") == ENTRY


def test_what_a_killed_process_left_is_removed_in_time(kept):
    cache, _ = kept
    old, new = cache.folder / f".a{PART}", cache.folder / f".b{PART}"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7200))
    cache.put("other", ENTRY)
    assert (old.exists(), new.exists()) == (False, True)


def _write(folder, number, start):
    cache = Cache(folder)
    start.wait()
    for _ in range(30):
        cache.put("key", Entry(bytes([number]) * 50_000, {"by": number}))
        found = cache.get("key")
        assert found is not None
        assert found.code == bytes([found.meta["by"]]) * 50_000


def test_writers_at_one_time_leave_whole_entries(tmp_path):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [
        context.Process(target=_write, args=(tmp_path / "cache", number, start))
        for number in range(3)
    ]
    for each in writers:
        each.start()
    start.set()
    for each in writers:
        each.join()
    assert [each.exitcode for each in writers] == [0, 0, 0]
    assert len(list((tmp_path / "cache").iterdir())) == 1


MAKER = """
import sys, time
from pathlib import Path
from pullback.machine.object.cache import Cache, Entry

def make():
    with open(sys.argv[2], "a") as made:
        made.write("made\\n")
    time.sleep(0.3)
    return Entry(b"code")

print(Cache(Path(sys.argv[1])).obtain("key", lambda entry: entry.code, make))
"""


def test_of_many_processes_that_want_the_same_one_makes_it(tmp_path):
    command = [sys.executable, "-c", MAKER, str(tmp_path / "cache"), str(tmp_path / "made")]
    many = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [each.communicate()[0] for each in many] == ["b'code'\n"] * 4
    assert (tmp_path / "made").read_text() == "made\n"
    assert [each.suffix for each in (tmp_path / "cache").iterdir()] == [SUFFIX]


def test_a_maker_that_was_killed_is_not_waited_for(tmp_path):
    killed = MAKER.replace("time.sleep(0.3)", "os.kill(os.getpid(), 9)").replace("sys,", "os, sys,")
    args = [str(tmp_path / "cache"), str(tmp_path / "made")]
    assert subprocess.run([sys.executable, "-c", killed, *args]).returncode
    assert list((tmp_path / "cache").iterdir()), "it held no lock"
    assert subprocess.run([sys.executable, "-c", MAKER, *args]).returncode == 0
    assert (tmp_path / "made").read_text() == "made\nmade\n"


@posix
@pytest.mark.parametrize("call", ["open", "mkdir", "replace", "stat", "scandir", "utime", "link"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_whatever_the_disk_refuses_the_code_is_made(tmp_path, monkeypatch, call, number):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    cache = Cache(tmp_path / "cache")
    for key in ("key", "key", "other"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, refused)
            made = cache.obtain(key, lambda entry: entry.code, lambda: Entry(b"code"))
        assert made == b"code"
        cache.put("key", Entry(b"code"))


def test_an_entry_that_cannot_be_loaded_is_made_again(kept):
    cache, _ = kept
    made = []

    def load(entry):
        if entry == ENTRY:
            raise KeyError("another program")
        return entry.code

    for _ in range(2):
        assert cache.obtain("key", load, lambda: made.append(1) or Entry(b"new")) == b"new"
    assert made == [1]


@pytest.mark.parametrize("value", ["", "off", " OFF "])
def test_the_variable_turns_it_off(monkeypatch, value):
    monkeypatch.setenv("PULLBACK_CACHE", value)
    assert default_cache().folder is None


def test_the_folder_is_the_one_that_xdg_says(monkeypatch, tmp_path):
    monkeypatch.delenv("PULLBACK_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache().folder == tmp_path / "xdg" / "pullback"
    for none in ("", "relative"):  # XDG: a path that is not absolute is to be ignored
        monkeypatch.setenv("XDG_CACHE_HOME", none)
        assert default_cache().folder == tmp_path / ".cache" / "pullback"
    monkeypatch.setenv("PULLBACK_CACHE", "~/mine")
    assert default_cache().folder == tmp_path / "mine"
