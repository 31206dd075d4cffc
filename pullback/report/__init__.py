"""Reports: a network's whole story as one offline page."""

from pullback.report.page import report

__all__ = ["report"]
