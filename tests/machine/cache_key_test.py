"""The key of an entry tells apart all that may change the code."""

import json
import os

import pytest
from rooms_test import PACKAGE, imports, room_of

from pullback.machine.object import cache as module
from pullback.machine.object.cache import cache_key


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
        (module, "_sources", lambda package: "0"),
    ]
    for number, (place, name, value) in enumerate(changes):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            module._here.cache_clear()
            keys.add(cache_key({}))
        assert len(keys) == number + 2, f"{name} is not in the key"


def test_key_changes_with_the_source(tmp_path):
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "a.py"
    file.write_text("x = 1")
    digests = {module._sources([tmp_path])}
    os.utime(file, ns=(1, 1))
    assert module._sources([tmp_path]) in digests, "a copy of the same source is the same"
    file.write_text("x = 2")  # of the same size, and as old
    os.utime(file, ns=(1, 1))
    digests.add(module._sources([tmp_path]))
    (tmp_path / "b.py").write_text("")
    digests.add(module._sources([tmp_path]))
    file.rename(tmp_path / "room" / "c.py")
    digests.add(module._sources([tmp_path]))
    assert len(digests) == 4
    (tmp_path / "notes.txt").write_text("")
    assert module._sources([tmp_path]) in digests


def test_every_room_that_makes_code_is_in_the_key():
    """What these rooms import of ours is in the key too, or makes no code."""
    known = {room.partition("/")[0] for room in module.ROOMS}
    rooms = set()
    for room in module.ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            rooms |= {room_of(each.target) for each in imports(path, PACKAGE)}
    codeless = {"diagram", "errors", "files", "foreign", "interop", "interrupt", "lazy", "laws"}
    assert rooms - known <= codeless | {"notebook"}
