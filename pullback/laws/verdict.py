"""What a gradient check found, as a record: right, wrong, or why nobody can tell."""

from __future__ import annotations

from dataclasses import dataclass, field

from pullback.laws.record import Check


@dataclass(frozen=True)
class GradientCheck(Check):
    """What ``gradient_check`` found; ``errors`` has one entry for each array, by name.

    ``status`` is "right", "wrong" or "cannot tell", and ``ok`` is true for "right" only.
    ``untold`` gives, by array, the reason for each place at which nothing can be told; ``kinks``
    are the places where the slope jumps, ``resolution`` is the relative error that could have gone
    unseen, and ``hint`` says what a wrong gradient looks like.
    """

    title = "Gradient check"

    untold: dict[str, dict[str, str]] = field(default_factory=dict)
    kinks: tuple[str, ...] = ()
    resolution: float = 0.0
    hint: str = ""

    @property
    def status(self) -> str:
        """right, wrong or cannot tell."""
        if not super().ok:
            return "wrong"
        return "cannot tell" if self.untold else "right"

    @property
    def ok(self) -> bool:
        """Is every error within the tolerance, and was every place told?"""
        return self.status == "right"

    @property
    def verdict(self) -> str:
        """One sentence: right, wrong where and by how much, or why nobody can tell."""
        if self.status == "wrong":
            return super().verdict + (f"; {self.hint}" if self.hint else "")
        if self.status == "cannot tell":
            every = [each for part in self.untold.values() for each in part.items()]
            where, reason = every[0]
            more = len(every) - 1 if where else 0
            others = f" (and at {more} more of the places tried)" if more else ""
            return f"cannot tell: {f'at {where} ' if where else ''}{reason}{others}"
        text = super().verdict
        if self.resolution > self.tolerance:
            text = (
                f"right: no relative error above {self.resolution:.0e}, as fine as rounding in "
                "the function lets us tell"
            )
        if self.kinks:
            shown = ", ".join(self.kinks[:3]) + (", …" if len(self.kinks) > 3 else "")
            text += f"; at a kink in {shown}, where every slope between the two sides is right"
        return text

    def shown(self, name: str) -> str:
        """The error of one array, unless it cannot be told."""
        hidden = name in self.untold and self.errors[name] <= self.tolerance
        return "cannot tell" if hidden else super().shown(name)
