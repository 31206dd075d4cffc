"""Arrays as small pictures: a PNG in the page whose ink is one colour and whose depth is alpha."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from html import escape
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

COLOURS = {"data": (0, 158, 115), "forward": (0, 114, 178), "backward": (213, 94, 0)}
NEGATIVE = (125, 131, 138)  # grey, on light and dark paper alike
LARGEST = 1024  # more cells than this say nothing, unless they are a picture
LONGEST = 8  # times as long as wide; more would be a line


def image(values: Array, role: str, alt: str, size: int, peak: float | None = None) -> str:
    """An <img> of a matrix; the ink is as dark as the entry is large, in the colour of its role
    where it is positive and grey where it is negative.

    It is ``size`` pixels wide, or high where that is more. Transparent paper makes it fit light and
    dark pages alike.
    """
    signed = np.nan_to_num(np.asarray(values, float))
    ink = np.abs(signed)
    top = peak if peak is not None else float(ink.max(initial=0.0))
    alpha = np.rint(255 * np.clip(ink / top if top > 0 else ink, 0, 1)).astype(np.uint8)
    inks = np.array([COLOURS[role], NEGATIVE], np.uint8)
    colour = inks[(signed < 0).astype(int)]
    data = base64.b64encode(png(np.dstack([colour, alpha]))).decode()
    width, height = (max(round(size * n / max(ink.shape)), 1) for n in ink.shape[::-1])
    return (
        f'<img class="cells" src="data:image/png;base64,{data}" alt="{escape(alt)}" '
        f'width="{width}" height="{height}">'
    )


def png(pixels: Array) -> bytes:
    """An RGBA array (height, width, 4) as a PNG file."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 4 * width), np.uint8)  # each row starts with its filter, none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def grid(values: Array) -> Array:
    """Numbers as a matrix to look at: their own, or nearly square, filled up with zeros.

    >>> grid(np.arange(6)).shape, grid(np.arange(32)).shape, grid(np.arange(7)).shape
    ((2, 3), (4, 8), (2, 4))
    """
    if values.ndim == 2 and max(values.shape) <= LONGEST * min(values.shape):
        return values
    flat = np.asarray(values).ravel()[:LARGEST]
    side = max(math.isqrt(flat.size), 1)
    even = (rows for rows in range(side, side // 2, -1) if flat.size % rows == 0)
    rows = next(even, side)
    columns = math.ceil(flat.size / rows)
    return np.pad(flat, (0, rows * columns - flat.size)).reshape(rows, columns)
