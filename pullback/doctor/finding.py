"""What the doctor says: findings in order of weight, a verdict, and the fixes to apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pullback.notebook import headline, paragraph, table

LOUD = ("error", "warning")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where it is, what was seen, and the fix with what it reached.

    ``severity`` is error, warning or note. ``where`` is a module's path ("3", "hidden.0"), or one
    of loss, optimizer, epochs, batch_size, data.X, data.Y; ``source`` the line of code, if known.
    ``score`` and ``loss`` are what a training with the fix (and those tried before it) came to,
    None if none was made.
    """

    severity: str
    where: str
    what: str
    fix: str
    code: str = ""
    source: str = ""
    score: float | None = None
    loss: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """A verdict in one sentence, and the findings behind it, the weightiest first.

    ``measure`` is accuracy or R², on the training data; ``score`` and ``loss`` are what the
    training as given came to, ``fixed`` is the score with the fixes, ``attainable`` what a plain
    learner reaches on unseen samples, or 1.
    """

    verdict: str
    findings: tuple[Finding, ...]
    measure: str
    score: float
    fixed: float | None
    attainable: float
    trials: int
    notes: tuple[str, ...] = ()
    loss: float | None = None
    learns: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    repaired: Any = field(default=None, repr=False)

    @property
    def healthy(self) -> bool:
        """Does it learn, and is there nothing to fix?"""
        return self.learns and not any(each.severity in LOUD for each in self.findings)

    def apply_(self, module: Any) -> Any:
        """Apply the fixes to a module in place, and give back the whole training that was repaired.

        What it gives back has ``module``, ``loss``, ``optimizer``, ``X``, ``Y``, ``batch_size`` and
        ``epochs``. Where a fix changes the code of a ``forward``, its ``module`` is a new one
        around the given one.
        """
        return self.repaired(module)

    def text(self) -> str:
        """The verdict, then each finding in a few lines."""
        lines = [self.verdict]
        for at, each in enumerate(self.findings, 1):
            lines += ["", f"{at}. {each.severity}, {each.where}{self._at(each)}", f"   {each.what}"]
            lines.append(f"   fix: {each.fix}{self._reached(each)}")
            if each.code:
                lines.append(f"        {each.code}")
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines)

    def _reached(self, each: Finding) -> str:
        if each.score is None:
            return ""
        loss = "" if each.loss is None else f", loss {each.loss:.3g}"
        return f" → {self.measure} {each.score:.3g}{loss}"

    @staticmethod
    def _at(each: Finding) -> str:
        return f" ({each.source})" if each.source else ""

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<diagnosis: {self.verdict}>"

    def _repr_html_(self) -> str:
        rows = [
            (
                at,
                each.severity,
                each.where + self._at(each),
                each.what,
                each.fix,
                each.code,
                "" if each.score is None else f"{each.score:.3g}",
                "" if each.loss is None else f"{each.loss:.3g}",
            )
            for at, each in enumerate(self.findings, 1)
        ]
        head = ["", "severity", "where", "what", "fix", "code", self.measure, "loss"]
        body = table(head, rows) if rows else ""
        return headline(self.verdict) + body + "".join(map(paragraph, self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "verdict": self.verdict,
            "healthy": self.healthy,
            "findings": [each.to_dict() for each in self.findings],
            "measure": self.measure,
            "score": self.score if self.score > -1e300 else None,
            "loss": self.loss,
            "fixed": self.fixed,
            "attainable": self.attainable,
            "trials": self.trials,
            "notes": list(self.notes),
            **self.facts,
        }
