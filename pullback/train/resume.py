"""Checkpoints of a training: enough to go on, bit for bit, as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pullback.errors import ConfigError, DataError, PullbackError, StorageError, whole
from pullback.files import PART, beside, clear_parts, locked, resolved, storing, writable
from pullback.net.program import Array
from pullback.train.checkpoint import load, save
from pullback.train.origin import Origin
from pullback.train.state import State

_FORMAT = 2  # of the facts


@dataclass(frozen=True)
class Checkpoints:
    """Where checkpoints go: the newest to ``path``, the ``keep`` − 1 before it beside it.

    Those are numbered, newest first: net.safetensors, net.1.safetensors, net.2.safetensors. A
    folder as ``path`` stands for checkpoint.safetensors in it. One is written after every
    ``every`` epochs and after the last. Raises ConfigError for numbers that make no sense.

    >>> Checkpoints("net.safetensors").older(2).name
    'net.2.safetensors'
    """

    path: str | Path
    every: int = 1
    keep: int = 3

    def __post_init__(self) -> None:
        given: object = self.path
        if not isinstance(given, (str, os.PathLike)) or not str(given):
            raise ConfigError(f"checkpoint is {given!r}; expected the path of a file")
        whole("every", self.every)
        whole("keep", self.keep)
        path = Path(self.path)
        if os.path.isdir(path):
            path /= "checkpoint.safetensors"
        object.__setattr__(self, "path", path)

    @property
    def newest(self) -> Path:
        """The path of the newest; a link is followed."""
        return resolved(Path(self.path))

    def exist(self) -> bool:
        """Whether one has been written; raises StorageError where that cannot be found out."""
        with storing(self.path):
            try:
                os.stat(self.newest)
            except FileNotFoundError:
                return False
        return True

    def older(self, number: int) -> Path:
        """The path of the checkpoint that is so many before the newest."""
        return self.newest.with_name(f"{self.newest.stem}.{number}{self.newest.suffix}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the path against other trainings, and clear what a killed one left half-written.

        Raises StorageError where nothing can be written, or while another training holds it.
        """
        with locked(self.path):  # before anything is looked at: the holder renames files here
            writable(self.path)
            for place in map(self.older, range(1, self.keep)):
                with storing(place):
                    if os.path.lexists(place) and not stat.S_ISREG(place.lstat().st_mode):
                        raise StorageError(
                            f"cannot write {place}, where an older checkpoint goes: it is not a "
                            "regular file; choose another path, or keep=1"
                        )
            clear_parts(self.newest)
            yield

    def write(self, state: State, origin: Origin) -> None:
        """Write a checkpoint, and number those before it anew."""
        with storing(self.path):
            self._make_room()
        save(
            self.newest,
            state.arrays(),
            format=_FORMAT,
            **state.facts(),
            origin=dict(origin),
        )

    def _make_room(self) -> None:
        """The newest stays where it is until the next one is whole; it is also number 1 now."""
        if self.keep == 1 or not self.newest.exists():
            return
        if self.older(1).exists() and self.older(1).samefile(self.newest):
            return  # an earlier attempt to write got this far
        for number in range(self.keep - 2, 0, -1):
            if self.older(number).exists():
                os.replace(self.older(number), self.older(number + 1))
        spare = beside(self.newest, f".older{PART}")
        spare.unlink(missing_ok=True)
        try:
            os.link(self.newest, spare)
        except OSError:  # a file system without links
            shutil.copyfile(self.newest, spare)
        os.replace(spare, self.older(1))

    def read(self, origin: Origin) -> tuple[dict[str, Array], dict[str, Any]]:
        """The arrays and the facts of the newest.

        Raises DataError for a damaged file, naming an older one that is whole, and ConfigError for
        one of another training, naming what differs.
        """
        try:
            arrays, facts = load(self.newest)
        except DataError as fault:
            raise DataError(f"{fault}{self._whole_one()}") from None
        then = facts.get("origin")
        if then is None:
            raise ConfigError(
                f"{self.newest} holds parameters, but no state of a training to resume; "
                "start from them with fit(…, params=…)"
            )
        if facts.get("format") != _FORMAT or not isinstance(then, dict):
            raise ConfigError(
                f"{self.newest} is of another version of pullback; "
                "start from its parameters with fit(…, params=…)"
            )
        differ = [name for name in {**origin, **then} if origin.get(name) != then.get(name)]
        if differ:
            name, *others = differ
            also = f" (also different: {', '.join(others)})" if others else ""
            raise ConfigError(
                f"{self.newest} is of another training: its {name} is {then.get(name)}, and here "
                f"it is {origin.get(name)}{also}; resume with what it was begun with, or name "
                "another checkpoint"
            )
        return arrays, facts

    def engine(self) -> str | None:
        """The engine of the training that is to be resumed, if that can be read."""
        origin = self._facts(self.newest).get("origin")
        engine = origin.get("engine") if isinstance(origin, dict) else None
        return engine if isinstance(engine, str) else None

    def _whole_one(self) -> str:
        for number in range(1, self.keep):
            history = self._facts(self.older(number)).get("history")
            losses = history.get("loss") if isinstance(history, dict) else None
            if isinstance(losses, list):
                told = f"{self.older(number)} is whole, after {len(losses)} epochs"
                return f"; {told}: resume from that"
        return ""

    @staticmethod
    def _facts(path: Path) -> dict[str, Any]:
        """What a file says of itself, or nothing where it cannot be read; ``read`` says why."""
        try:
            return load(path)[1]
        except PullbackError:
            return {}
