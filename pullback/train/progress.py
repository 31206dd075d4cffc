"""A progress bar that says what matters: loss, accuracy, samples a second, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from pullback.notebook import can_animate

_SHOWN = {  # the first that the history has
    "validation_accuracy": "validation",
    "accuracy": "accuracy",
    "validation_loss": "validation",
}


class Progress:
    """A bar over all samples of all epochs; shown only in a terminal or a notebook."""

    def __init__(self, epochs: int, samples: int | None, enabled: bool) -> None:
        # how many samples an epoch has may be known only when one is over
        self._epochs, self._samples, self._seen = epochs, samples, 0
        self._waiting, self._drawn, self._state = 0, time.perf_counter(), ""
        self._enabled = enabled
        self._bar: Any = self._make() if enabled else None

    def _make(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True)
        if not can_animate(console):
            return None
        bar = RichProgress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
        )
        total = self._epochs * self._samples if self._samples else None
        self._task = bar.add_task("fit", total=total, epoch=f"1/{self._epochs}", state="")
        return bar

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def compiling(self) -> None:
        """Say that something is compiled now, until there is more to say."""
        if self._bar is not None:
            self._bar.update(self._task, state="compiling (first run only)", refresh=True)

    def note(self, text: str) -> None:
        """Say one line beside the bar, to whoever wants to see progress."""
        if self._enabled:
            print(text, file=sys.stderr)

    def advance(self, samples: int, loss: float) -> None:
        """So many more samples are done; the newest batch had this loss."""
        if self._bar is None:
            return
        self._waiting += samples
        self._seen += samples
        if time.perf_counter() - self._drawn > 0.1:
            self._draw()
            if not self._state:  # the first epoch has no numbers yet
                self._bar.update(self._task, state=f"loss {loss:.4g}")

    def _draw(self) -> None:
        self._bar.advance(self._task, self._waiting)
        self._waiting, self._drawn = 0, time.perf_counter()

    def epoch_done(self, history: Mapping[str, Sequence[float]]) -> None:
        """One more epoch is done, or some were done before; show the newest numbers."""
        if self._bar is None:
            return
        done = len(history["loss"])
        self._samples = self._samples or self._seen
        rate = self._samples / max(history["seconds"][-1], 1e-9)
        self._state = f"loss {history['loss'][-1]:.4g}"
        for name, shown in _SHOWN.items():
            if name in history:
                value = history[name][-1]
                number = f"{value:.1%}" if name.endswith("accuracy") else f"{value:.4g}"
                self._state += f" · {shown} {number}"
                break
        self._state += f" · {rate:,.0f} samples/s"
        self._waiting, self._drawn = 0, time.perf_counter()
        shown = f"{min(done + 1, self._epochs)}/{self._epochs}"
        self._bar.update(self._task, completed=done * self._samples, epoch=shown, state=self._state)
