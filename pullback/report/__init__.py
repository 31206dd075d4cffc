"""Reports: a network's whole story as one offline page."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.report.page import report
    from pullback.report.summary import summary

lazy(__name__, {"report": "pullback.report.page", "summary": "pullback.report.summary"})

__all__ = ["report", "summary"]
