"""The state of a training on disk: enough to go on, bit for bit, as if nothing had happened."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pullback.errors import ConfigError, DataError, whole
from pullback.files import PART
from pullback.run.checkpoint import load, save
from pullback.run.compiled import Array
from pullback.run.history import History
from pullback.run.network import Parameters

_PREFIX = "fit."  # of arrays in the file that are not parameters
Origin = Mapping[str, str]  # what a training is of: its network, optimiser, data, …


@dataclass(frozen=True)
class State:
    """A training between two epochs: parameters, other arrays by name, and the rest as facts."""

    params: Parameters
    memory: Mapping[str, Array]
    steps: int
    history: History
    random: Mapping[str, Any] | None


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
        object.__setattr__(self, "path", path / "checkpoint.safetensors" if path.is_dir() else path)

    @property
    def newest(self) -> Path:
        return Path(self.path)

    def older(self, number: int) -> Path:
        """The path of the checkpoint that is so many before the newest."""
        return self.newest.with_name(f"{self.newest.stem}.{number}{self.newest.suffix}")

    def prepare(self) -> None:
        """Raise DataError where nothing can be written, and clear what a killed run left half."""
        folder = self.newest.parent
        if not folder.is_dir():
            raise DataError(f"cannot write {self.newest}: there is no folder {folder}")
        if not os.access(folder, os.W_OK):
            raise DataError(f"cannot write {self.newest}: the folder is not writable")
        for entry in folder.iterdir():
            if entry.name.startswith(f".{self.newest.name}.") and entry.suffix == PART:
                entry.unlink(missing_ok=True)

    def write(self, state: State, origin: Origin) -> None:
        """Write a checkpoint, and number those before it anew."""
        self._make_room()
        memory = {f"{_PREFIX}{name}": value for name, value in state.memory.items()}
        save(
            self.newest,
            {**state.params, **memory},
            steps=state.steps,
            history=state.history,
            random=state.random,
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
        spare = self.newest.with_name(f".{self.newest.name}.older{PART}")
        spare.unlink(missing_ok=True)
        try:
            os.link(self.newest, spare)
        except OSError:  # a file system without links
            shutil.copyfile(self.newest, spare)
        os.replace(spare, self.older(1))

    def read(self, origin: Origin) -> State | None:
        """The newest state, or None where nothing has been written yet.

        Raises DataError for a damaged file, naming an older one that is whole, and ConfigError for
        one of another training.
        """
        if not self.newest.exists():
            return None
        try:
            arrays, facts = load(self.newest)
        except DataError as fault:
            raise DataError(f"{fault}{self._whole_one()}") from None
        if "origin" not in facts:
            raise ConfigError(
                f"{self.newest} holds parameters, but no state of a training to resume; "
                "start from them with fit(…, params=…)"
            )
        for name in sorted({*origin, *facts["origin"]}):
            now, then = origin.get(name), facts["origin"].get(name)
            if now != then:
                raise ConfigError(
                    f"{self.newest} is of another training: its {name} is {then}, and here it is "
                    f"{now}; resume with what it was begun with, or name another checkpoint"
                )
        return State(
            {k: v for k, v in arrays.items() if not k.startswith(_PREFIX)},
            {k.removeprefix(_PREFIX): v for k, v in arrays.items() if k.startswith(_PREFIX)},
            facts["steps"],
            facts["history"],
            facts["random"],
        )

    def engine(self) -> str | None:
        """The engine of the training that is to be resumed, if that can be read."""
        try:
            _, facts = load(self.newest)
        except DataError:
            return None  # ``read`` says what is wrong with it
        found: str | None = facts.get("origin", {}).get("engine")
        return found

    def _whole_one(self) -> str:
        for number in range(1, self.keep):
            try:
                _, facts = load(self.older(number))
            except DataError:
                continue
            epochs = len(facts.get("history", {}).get("loss", []))
            return f"; {self.older(number)} is whole, after {epochs} epochs: resume from that"
        return ""


def described(value: object) -> str:
    """What an object is, the same in every run: its repr without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
