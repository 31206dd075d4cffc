"""What stands in a page as text: templates, and JSON inside scripts."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from typing import Any


def template(name: str) -> str:
    """The text of a file of templates."""
    return (files("pullback.report") / "templates" / name).read_text(encoding="utf-8")


def mathematics() -> str:
    """The rule that sets formulas in a font of the page's own, a part of Latin Modern Math."""
    font = (files("pullback.report") / "templates" / "math.woff2").read_bytes()
    data = base64.b64encode(font).decode()
    return (
        f'@font-face {{ font-family: "Pullback Math"; font-display: block; '
        f'src: url("data:font/woff2;base64,{data}") format("woff2"); }}\n'
        'math { font-family: "Pullback Math", math; }\n'
    )


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
