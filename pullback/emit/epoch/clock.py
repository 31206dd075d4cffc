"""Where a step's time goes: looks at the processor's clock wherever one kind of work ends."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from pullback.emit.epoch.record import KINDS
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole


@dataclass
class Clock:
    """Books time on kinds of work; ``spent`` is where a worker's numbers are, or None."""

    w: Writer
    spent: Value | None

    def __post_init__(self) -> None:
        self._kind = KINDS[0]
        if self.spent is not None:
            self._since = self.w.alloca(WHOLE)
            self.w.store(self._cycles(), self._since)

    def begin(self, kind: str) -> None:
        """From here on a worker does this; what it did before is booked."""
        if self.spent is None or kind == self._kind:
            return
        w, now = self.w, self._cycles()
        place = w.gep(self.spent, [whole(KINDS.index(self._kind))])
        w.store(w.add(w.load(place), w.sub(now, w.load(self._since))), place)
        w.store(now, self._since)
        self._kind = kind

    def _cycles(self) -> Value:
        name, module = "llvm.readcyclecounter", self.w.module
        known = module.globals.get(name)
        return self.w.call(known or ir.Function(module, ir.FunctionType(WHOLE, []), name), [])
