"""What a section of the page consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pullback.report.drawing.figures import Figure

Badge = Literal["exact", "limit", "approximation", "measured"]


@dataclass(frozen=True)
class Picture:
    """A figure that is HTML already, with its caption and its data."""

    name: str
    html: str
    caption: str
    csv: str = ""


@dataclass(frozen=True)
class Choice:
    """Several versions of one thing, of which one is shown at a time."""

    name: str
    label: str
    versions: dict[str, str]
    latex: dict[str, str] | None = None


Item = Figure | Picture | Choice | str


@dataclass(frozen=True)
class Section:
    """One part of the page; strings among the items are HTML.

    ``script`` is a module of JavaScript that it needs. Without ``news`` its items are folded.
    """

    name: str
    title: str
    verdict: str
    badge: Badge
    method: str
    items: tuple[Item, ...]
    script: str = ""
    news: bool = True
