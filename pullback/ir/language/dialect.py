"""Which notation a text is in: NumPy's, or that of MATLAB and of the well-known web form."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pullback.errors import ExpressionError, unknown

Dialect = Literal["numpy", "matlab"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

_PIECES = re.compile(
    r"""(?P<operand>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[^\W\d]\w*|[)\]])"""
    r"""|(?P<numpy>\*\*|@|\.T\b)|(?P<matlab>\.[*/^']|[\^\\])|(?P<quote>')|(?P<string>"[^"]*")"""
    r"""|(?P<space>\s+)|(?P<other>.)"""
)


def dialect_of(text: object, chosen: Dialect | None = None) -> Dialect:
    """The dialect that is chosen, or the one whose signs stand in the text; NumPy's without any.

    A ' behind an operand, and ``.*``, ``./``, ``.^``, ``^``, ``\\`` can only be MATLAB's; ``@``,
    ``**`` and ``.T`` only NumPy's. Raises ExpressionError, with both places, where a text has
    signs of both; UnknownNameError for another dialect.

    >>> dialect_of("0.5*x'*A*x"), dialect_of("x.T@A@x"), dialect_of("sum(X, axis='n')")
    ('matlab', 'numpy', 'numpy')
    """
    if chosen is not None:
        if chosen not in DIALECTS:
            raise unknown("dialect", chosen, DIALECTS)
        return chosen
    found = _signs(text) if isinstance(text, str) else {}
    if len(found) < 2:
        return next(iter(found), "numpy")
    (one, (first, mine)), (other, (second, theirs)) = found.items()
    called = {"numpy": "NumPy's", "matlab": "MATLAB's"}
    raise ExpressionError(
        f"{mine} is {called[one]} and {theirs} {called[other]}: write all of it in one dialect",
        str(text),
        first,
        second,
    )


def is_in_either(text: object) -> bool:
    """Has a text no sign that only one dialect has?

    >>> is_in_either("A*exp(x)"), is_in_either("A@exp(x)")
    (True, False)
    """
    return not (isinstance(text, str) and _signs(text))


def _signs(text: str) -> dict[Dialect, tuple[int, str]]:
    """The first sign that only one dialect has, of each, in the order of the text."""
    found: dict[Dialect, tuple[int, str]] = {}
    behind, at = False, 0  # whether an operand ends here
    while (piece := _PIECES.match(text, at)) is not None:
        kind, sign = piece.lastgroup, piece.group()
        if kind == "quote" and not behind:  # a string
            closed = text.find("'", piece.end())
            if closed < 0:
                break
            at, behind = closed + 1, True
            continue
        if kind == "numpy":
            found.setdefault("numpy", (at, sign))
        elif kind in ("matlab", "quote"):
            found.setdefault("matlab", (at, sign))
        if kind != "space":
            behind = kind in ("operand", "string", "quote") or sign in (".'", ".T")
        at = piece.end()
    return found
