"""What training tells about itself: numbers by epoch, and the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pullback.net.network import Parameters
from pullback.net.program import Array
from pullback.notebook import headline, table

History = dict[str, list[float]]
Callback = Callable[[int, Parameters, History], None]
Cause = Literal["learning rate", "scaling", "initialisation"]


@dataclass(frozen=True)
class Divergence:
    """Training that made a network worse, or left it stuck: what was seen, why, what to do.

    >>> print(Divergence("the loss rose from 2.4 to 292", "learning rate", "try 0.5"))
    Training diverged: the loss rose from 2.4 to 292; try 0.5.
    """

    seen: str
    cause: Cause
    fix: str

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return f"Training diverged: {self.seen}; {self.fix}."

    def __str__(self) -> str:
        return self.sentence

    def to_dict(self) -> dict[str, str]:
        """Plain data."""
        return {"seen": self.seen, "cause": self.cause, "fix": self.fix}


@dataclass(frozen=True)
class Watched:
    """By layer, one entry before training and one after each epoch.

    ``rms_delta`` is of one sample's δ = ∂loss/∂z, not reduced; ``dead`` the share of units whose δ
    is 0 at every watched sample and, where a layer's units are the same at every token, at every
    token. ``update`` has one entry an epoch for each trained weight: ‖change of W‖ / ‖W‖, by the
    path of its block, or by its own name where a block has several.
    """

    rms_delta: dict[str, list[float]] = field(default_factory=dict)
    dead: dict[str, list[float]] = field(default_factory=dict)
    update: dict[str, list[float]] = field(default_factory=dict)

    def text(self) -> str:
        """The first and last entry of each layer."""
        lines = [f"{'layer':<10}{'RMS δ':>20}{'dead units':>18}{'update/weight':>18}"]
        for name, size, share, change in self._rows():
            lines.append(f"{name or 'all':<10}{size:>20}{share:>18}{change:>18}")
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        names = dict.fromkeys((*self.rms_delta, *self.update))
        return [
            (
                name,
                _change(self.rms_delta.get(name), ".3g"),
                _change(self.dead.get(name), ".0%"),
                _change(self.update.get(name), ".2g"),
            )
            for name in names
        ]

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return table(["layer", "RMS δ", "dead units", "update/weight"], self._rows())

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))


@dataclass(frozen=True)
class OptimizerState:
    """What an optimiser remembers: its arrays by name, each (all,), after so many steps."""

    slots: dict[str, Array]
    steps: int


@dataclass(frozen=True, repr=False)
class FitResult:
    """What training learnt, and how it went: one history entry an epoch.

    ``history["loss"]`` is the mean over the epoch's batches (their sum for a loss with
    reduction="sum"), each taken before its update. ``interrupted`` tells of a Ctrl-C, ``stopped``
    why training ended before its last epoch, and ``best_epoch`` (from 1) which epoch the
    parameters are of where early stopping has brought the best ones back. ``watched`` is what
    ``fit(…, watch=True)`` saw of δ. ``optimizer_state`` goes into a call of ``fit`` that goes on.
    ``diverged`` says what went wrong where training made the network worse, or left it stuck.

    >>> print(FitResult({}, {"loss": [2.5, 0.125]}, interrupted=True))
    2 epochs (interrupted): loss 0.125
    """

    params: Parameters
    history: History = field(default_factory=dict)
    interrupted: bool = False
    stopped: str | None = None
    best_epoch: int | None = None
    watched: Watched | None = None
    optimizer_state: OptimizerState | None = None
    diverged: Divergence | None = None

    def text(self) -> str:
        """One line: the epochs, and the last entry of each column."""
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"{self._verdict()}: {last}"

    def __repr__(self) -> str:
        return f"<{self.text()}>"

    def __str__(self) -> str:
        return self.text()

    def _verdict(self) -> str:
        notes = ["diverged"] if self.diverged else []
        notes += ["interrupted"] if self.interrupted else []
        notes += [self.stopped] if self.stopped else []
        notes += [f"parameters of epoch {self.best_epoch}"] if self.best_epoch else []
        state = f" ({'; '.join(notes)})" if notes else ""
        return f"{len(self.history.get('loss', []))} epochs{state}"

    def _repr_html_(self) -> str:
        rows = [
            (n, f"{seen[0]:.4g}", f"{seen[-1]:.4g}") for n, seen in self.history.items() if seen
        ]
        return headline(self._verdict()) + table(["", "first epoch", "last epoch"], rows)

    def to_dict(self) -> dict[str, Any]:
        """The history and how training ended, as plain data."""
        return {
            "history": self.history,
            "interrupted": self.interrupted,
            "diverged": self.diverged is not None,
            "divergence": self.diverged and self.diverged.to_dict(),
            "stopped": self.stopped,
            "best_epoch": self.best_epoch,
            "watched": self.watched and self.watched.to_dict(),
        }


def _change(values: list[float] | None, form: str) -> str:
    return f"{values[0]:{form}} → {values[-1]:{form}}" if values else "–"
