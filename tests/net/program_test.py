"""A program on disk is used if, and only if, it is the one that would be compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.emit.epoch.code import EpochCode
from pullback.machine.object.cache import Entry, default_cache
from pullback.train import compiled_epoch as room

NET = pb.Network(pb.Linear(3, 2), loss=pb.SquaredError())
SHAPES = {"weight": (2, 3), "bias": (2,)}
SGD = pb.optim.SGD(0.1)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The modules compiled so far, with a cache of the test's own and nothing in memory."""
    modules: list[str] = []
    really = EpochCode.object_code

    def noted(code: EpochCode) -> bytes:
        modules.append(str(code.module))
        return really(code)

    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(EpochCode, "object_code", noted)
    forget()
    return modules


def forget() -> None:
    room._program.cache_clear()


def made(net: pb.Network = NET, optimizer: Any = SGD) -> room.EpochProgram:
    return room.program(net, optimizer, SHAPES, "float64")


def test_it_is_compiled_once_and_then_found(compiled: list[str]) -> None:
    first = made()
    assert made() is first
    assert made(optimizer=pb.optim.SGD(0.5)) is first  # the rate is given at each call
    forget()
    found = made()
    assert len(compiled) == 1
    assert found.epoch == first.epoch
    assert made(optimizer=pb.optim.Adam(0.1)).epoch != first.epoch
    assert len(compiled) == 2


def test_what_was_changed_on_disk_is_compiled_anew(compiled: list[str], tmp_path: Path) -> None:
    made()
    (path,) = (tmp_path / "cache").glob("*.code")
    content = bytearray(path.read_bytes())
    for damage in (
        content[:-100],
        content[: len(content) // 2] + b"x" + content[len(content) // 2 + 1 :],
    ):
        path.write_bytes(damage)
        forget()
        made()
    forget()
    made()  # what was damaged has been replaced
    assert len(compiled) == 3


@pytest.mark.parametrize("what", ["code", "record"])
def test_an_entry_that_says_something_else_is_compiled_anew(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    keys: list[str] = []
    put = room.default_cache().put
    monkeypatch.setattr(
        type(default_cache()), "put", lambda self, key, entry: (keys.append(key), put(key, entry))
    )
    epoch = made().epoch
    good = default_cache().get(keys[0])
    assert good is not None
    bad = Entry(b"no code", epoch.to_dict()) if what == "code" else Entry(good.code, {"slots": 1})
    put(keys[0], bad)
    forget()
    made()
    assert len(compiled) == 2


def test_blocks_of_others_are_told_apart_by_what_they_build(compiled: list[str]) -> None:
    class Mine(pb.Tanh):
        pass

    class Other(pb.Sin):
        pass

    Other.__name__ = Other.__qualname__ = "Mine"
    nets = [
        pb.Network(pb.Sequential(pb.Linear(3, 2), kind()), loss=pb.SquaredError())
        for kind in (Mine, Other)
    ]
    shapes = {"0.weight": (2, 3), "0.bias": (2,)}
    one, other = (room.program(net, SGD, shapes, "float64") for net in nets)
    assert one is not other
    assert len({*compiled}) == len(compiled) == 2


def test_training_is_the_same_with_and_without_the_cache(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    results = []
    for place in (None, None, "off"):
        if place is not None:
            monkeypatch.setenv("PULLBACK_CACHE", place)
        forget()
        fitted = pb.fit(NET, X, X[:, :2], epochs=2, batch_size=5, engine="compiled", progress=False)
        results.append(fitted.params["weight"])
    assert len(compiled) == 2
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()
