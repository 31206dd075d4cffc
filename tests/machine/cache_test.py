"""An entry on disk comes back as it was put, or not at all."""

import json
import multiprocessing
import os
import time

import pytest
from rooms_test import PACKAGE, imports, room_of

from pullback.machine import cache as module
from pullback.machine.cache import PART, SUFFIX, Cache, Entry, cache_key, default_cache

ENTRY = Entry(bytes(range(256)) * 20, {"slots": ["m", "v"], "size": 3})
posix = pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")


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
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.get("key") is None
    monkeypatch.undo()
    assert cache.get("key") == ENTRY


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
    size = len(module._encoded("0", ENTRY))
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


@pytest.fixture
def fresh():
    """What is known of this process is asked for again."""
    module._here.cache_clear()
    yield
    module._here.cache_clear()


def test_key_tells_networks_apart():
    assert cache_key({"network": "a", "dtype": "f"}) == cache_key({"dtype": "f", "network": "a"})
    assert cache_key({"network": "a"}) != cache_key({"network": "b"})
    assert json.loads(cache_key({"network": "a"}))["of"] == {"network": "a"}


def test_key_is_of_this_processor_and_these_versions(fresh, monkeypatch):
    from llvmlite import binding

    keys = {cache_key({})}
    changes = [
        (binding, "get_host_cpu_name", lambda: "another"),
        (binding, "get_host_cpu_features", lambda: type("F", (), {"flatten": lambda s: "+none"})()),
        (binding, "llvm_version_info", (1, 0, 0)),
        (module.np, "__version__", "0"),
        (module.sys, "version", "2.7"),
        (module, "_numba_version", lambda: "0"),
        (module, "_sources", lambda package: "0"),
    ]
    for number, (place, name, value) in enumerate(changes):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            module._here.cache_clear()
            keys.add(cache_key({}))
        assert len(keys) == number + 2, f"{name} is not in the key"
    monkeypatch.setenv("NUMBA_OPT", "1")
    module._here.cache_clear()
    assert cache_key({}) not in keys


def test_key_changes_with_the_source(tmp_path):
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "a.py"
    file.write_text("x = 1")
    digests = {module._sources([tmp_path])}
    os.utime(file, ns=(1, 1))
    digests.add(module._sources([tmp_path]))
    file.write_text("x = 11")
    os.utime(file, ns=(1, 1))
    digests.add(module._sources([tmp_path]))
    (tmp_path / "b.py").write_text("")
    digests.add(module._sources([tmp_path]))
    assert len(digests) == 4
    (tmp_path / "notes.txt").write_text("")
    assert module._sources([tmp_path]) in digests


def test_every_room_that_makes_code_is_in_the_key():
    """What these rooms import of ours is in the key too, or makes no code."""
    rooms = {*module.ROOMS}
    for room in module.ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            rooms |= {room_of(each.target) for each in imports(path, PACKAGE)}
    assert rooms - {*module.ROOMS} <= {"errors", "files", "lazy", "laws", "notebook"}
