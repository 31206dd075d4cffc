"""Backward passes as they are written in papers and textbooks, each printed so, and computed."""

from __future__ import annotations

from dataclasses import dataclass
