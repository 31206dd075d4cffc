"""The playground: one page in which networks are picked, trained and watched, with no server."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files

from pullback.report.assets import template

DEEPEST = 40  # hidden layers
SCRIPTS = ("data.js", "network.js", "draw.js", "stories.js", "main.js")
NAMES = {
    "tanh": "tanh",
    "relu": "ReLU",
    "sigmoid": "sigmoid",
    "leakyrelu": "leaky ReLU",
    "gelu": "GELU",
    "sin": "sine",
    "identity": "none (linear)",
}
_STUDY = (
    '<a class="study" id="study" href="study">Derivation, forecast, neurons →</a>'
    '<a class="study" href="formulas">Formulas →</a>'
)


def playground(programs: Mapping[str, str] | None = None, deepest: int = DEEPEST) -> str:
    """The page as text; with its programs it needs nobody, else it asks its server for them.

    ``deepest`` is the largest number of hidden layers.
    """
    packed = "" if programs is None else _packed(json.dumps(programs))
    holder = f'<script type="application/gzip" id="programs">{packed}</script>' if packed else ""
    parts = {
        "@STYLE@": template("style.css") + _part("playground.css"),
        "@STUDY@": "" if packed else _STUDY,
        "@ACTIVATIONS@": "".join(
            f'<option value="{name}">{escape(shown)}</option>' for name, shown in NAMES.items()
        ),
        "@PROGRAMS@": holder,
        "@SCRIPT@": script(bool(packed), deepest),
    }
    page = _part("playground.html")
    for hole, text in parts.items():
        page = page.replace(hole, text)
    return page


def script(packed: bool, deepest: int = DEEPEST) -> str:
    """The page's module."""
    facts = f"const PACKED = {json.dumps(packed)};\nconst MOST_LAYERS = {deepest};\n"
    return facts + "".join(map(_part, SCRIPTS))


def policy() -> str:
    """What the page may do where it is served: run its module and what was emitted for it."""
    digest = base64.b64encode(sha256(script(False).encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' blob:; style-src 'unsafe-inline'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _part(name: str) -> str:
    return (files("pullback.explore") / "playground" / name).read_text(encoding="utf-8")
