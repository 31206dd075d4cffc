"""What stands in a page as text: templates, and JSON inside scripts."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def template(name: str) -> str:
    """The text of a file of templates."""
    return (files("pullback.report") / "templates" / name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
