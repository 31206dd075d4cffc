"""Reports: a network's whole story as one offline page."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.report.page import report

lazy(__name__, {"report": "pullback.report.page"})

__all__ = ["report"]
