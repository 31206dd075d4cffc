"""What an equation is called: its role, the place of its block, and the part of the block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["z", "a", "stat", "delta", "gradient", "update", "loss", "value"]


@dataclass(frozen=True, slots=True)
class Label:
    """A name that is held, not spelled: readers ask for its parts and never cut its text.

    ``of`` is the role of what a δ is the cotangent of; ``text`` is a name of somebody's own.

    >>> z = Label("z", "2.block.0", "gate")
    >>> str(z), str(z.delta), str(Label("z", "0").gradient("weight"))
    ('z.2.block.0.gate', 'delta.2.block.0.gate', 'gradient.0.weight')
    >>> str(Label("a", "1").delta), str(Label("loss")), str(Label("value", "hidden"))
    ('delta.a.1', 'loss', 'hidden')
    """

    role: Role
    path: str = ""
    part: str = ""
    of: Role = "z"
    text: str = ""

    @classmethod
    def spelled(cls, name: str, role: Role = "value") -> Label:
        """The label of a name that somebody wrote: ``z.0`` with the role z, or any other."""
        path = name if role == "value" else name.removeprefix(f"{role}.")
        label = cls(role, "" if role == "loss" == name else path)
        return label if str(label) == name else replace(label, text=name)

    @classmethod
    def of_parameter(cls, name: str) -> Label:
        """The label of a name in a state dict: its part stands behind the last dot, as torch's."""
        path, _, part = name.rpartition(".")
        return cls("value", path, part)

    @property
    def place(self) -> str:
        """Where it stands: path and part."""
        return f"{self.path}.{self.part}" if self.path and self.part else self.path or self.part

    @property
    def delta(self) -> Label:
        """That of its cotangent."""
        return Label("delta", self.path, self.part, self.role)

    @property
    def origin(self) -> Label:
        """That of the equation whose cotangent a δ is."""
        return Label(self.of, self.path, self.part)

    def gradient(self, part: str) -> Label:
        """That of the loss's derivative with respect to a parameter here."""
        return Label("gradient", self.path, part)

    @property
    def update(self) -> Label:
        """That of the equation of a state's next value."""
        return Label("update", self.path, self.part)

    def __str__(self) -> str:
        if self.text:
            return self.text
        if self.role == "value" or (self.role == "loss" and not self.place):
            return self.place or self.role
        of = f"{self.of}." if self.role == "delta" and self.of != "z" else ""
        return f"{self.role}.{of}{self.place}"
