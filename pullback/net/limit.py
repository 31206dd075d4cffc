"""How many bytes a text or a number asks for, and bytes as text."""

from __future__ import annotations

import re
from numbers import Integral

from pullback.errors import ConfigError, shown

_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{ending}": base**power
    for power, prefix in enumerate("KMGT", 1)
    for ending, base in (("B", 1000), ("IB", 1024))
}
_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", re.ASCII)
_MOST = 2**60


def bytes_of(name: str, value: object) -> int:
    """A limit in bytes: a whole number of them, or a text with a unit, as "200 MB" or "1.5 GiB".

    Raises ConfigError for anything else.

    >>> bytes_of("limit", "200 MB"), bytes_of("limit", "1.5 GiB"), bytes_of("limit", 4096)
    (200000000, 1610612736, 4096)
    """
    count = _count(value)
    if count is None or not 1 <= count <= _MOST:
        raise ConfigError(f"{name} is {shown(value)}; expected bytes, as 200_000_000 or '200 MB'")
    return int(count)


def _count(value: object) -> float | None:
    if isinstance(value, str):
        found = _TEXT.fullmatch(value.strip())
        unit = None if found is None else _UNITS.get(found[2].upper())
        return None if found is None or unit is None else float(found[1]) * unit
    if isinstance(value, bool) or not isinstance(value, Integral):
        return None
    return int(value)


def as_bytes(count: float) -> str:
    """Bytes to three digits.

    >>> as_bytes(34_212_345), as_bytes(999), as_bytes(0)
    ('34.2 MB', '999 B', '0 B')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * size:
            digits = 2 if count < 9.995 * size else 1 if count < 99.95 * size else 0
            return f"{count / size:,.{digits}f} {unit}"
    return f"{count:.0f} B"
