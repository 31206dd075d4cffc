"""What a product is wanted for: each consumer turns held parts into the cheapest way to its answer.

``pair`` keeps the product unmultiplied through its cheapest bottleneck. A Gram matrix is nested
from the input side, A (B Bᵀ) Aᵀ, over any number of parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pullback.errors import unknown
from pullback.plan.chain.cost import Form, Shape, symmetric
from pullback.plan.chain.piece import How, Piece, front
from pullback.plan.chain.programme import Programme

# consumer: what it computes of J (rows, cols)
CONSUMERS = {
    "dense": "J",
    "pair": "J as two parts, not multiplied",
    "jvp": "J v",
    "vjp": "uᵀ J",
    "gram": "J Jᵀ",
    "normal": "Jᵀ J",
    "solve": "(Jᵀ J + λI)⁻¹ Jᵀ r",
    "svd": "U Σ Vᵀ",
    "logdet": "log |det J|, or the sum of the logarithms of the singular values",
    "diagonal": "the diagonal of Jᵀ J",
}


def check_consumer(consumer: str) -> str:
    """The consumer if there is one of that name; raises UnknownNameError otherwise."""
    if consumer not in CONSUMERS:
        raise unknown("consumer", consumer, CONSUMERS)
    return consumer


def pieces_for(programme: Programme, consumer: str) -> list[Piece]:
    """The ways to an answer that are worth keeping, cheapest first.

    ``jvp``, ``vjp`` and ``normal`` are asked of another chain: with the vector as one more
    factor, or transposed.
    """
    top = programme.length - 1
    if consumer in ("dense", "jvp", "vjp"):
        return programme.best(0, top)
    if consumer == "pair":
        return front(pairs(programme) or programme.best(0, top), programme.limited)
    if consumer in ("gram", "normal"):
        return grams(programme)
    if consumer == "logdet":
        return _logdet(programme)
    return _of_either(programme, consumer)


def pairs(programme: Programme) -> list[Piece]:
    """Every cut with both sides held: the product through the width of the cut."""
    top = programme.length - 1
    found = []
    for cut in range(top):
        for left in programme.best(cut + 1, top):
            for right in programme.best(0, cut):
                shape: Shape = (left.rows, right.cols, "dense", max(left.batch, right.batch))
                found.append(programme.pieces.make("pair", 0, top, shape, (left, right), 0))
    return found


def grams(programme: Programme) -> list[Piece]:
    """F_last … F_0 times its transpose: from its parts' Gram matrices, inside out."""
    inside: list[list[Piece]] = []
    for last in range(programme.length):
        found = [_gram(programme, part) for part in programme.best(0, last)]
        for cut in range(last):
            for left in programme.best(cut + 1, last):
                found += [_sandwich(programme, left, gram) for gram in inside[cut]]
        inside.append(front(found, programme.limited))
    return inside[-1]


def _gram(programme: Programme, part: Piece) -> Piece:
    fma = symmetric(part.rows, part.cols) if part.form == "dense" else part.rows
    own = 0 if part.form == "identity" else part.batch * fma
    shape: Shape = (part.rows, part.rows, part.form, part.batch)
    return programme.pieces.make("gram", part.first, part.last, shape, (part,), own)


def _sandwich(programme: Programme, left: Piece, gram: Piece) -> Piece:
    """A G Aᵀ with a symmetric G: A G, then one triangle of the product with Aᵀ."""
    rows, inner, batch = left.rows, left.cols, max(left.batch, gram.batch)
    forms = (left.form, gram.form)
    if left.form == "identity":
        own = 0
    elif gram.form == "identity":
        own = left.batch * (symmetric(rows, inner) if left.form == "dense" else rows)
    elif forms == ("dense", "dense"):
        own = batch * (rows * inner * inner + symmetric(rows, inner))
    elif forms == ("dense", "diagonal"):
        own = batch * (rows * inner + symmetric(rows, inner))
    else:
        own = batch * (rows * rows if gram.form == "dense" else rows)
    form: Form = "dense" if "dense" in forms else "diagonal" if "diagonal" in forms else "identity"
    shape: Shape = (rows, rows, form, batch)
    return programme.pieces.make("sandwich", gram.first, left.last, shape, (left, gram), own)


def _of_either(programme: Programme, consumer: str) -> list[Piece]:
    """From the whole product, or from a pair through a bottleneck."""
    top = programme.length - 1
    make, price = programme.pieces.make, _PRICES[consumer]
    found = [_final(make, consumer, p, (p,), price) for p in programme.best(0, top)]
    found += [
        _final(make, consumer, pair, pair.parts, price)
        for pair in pairs(programme)
        if pair.parts[0].cols < min(pair.rows, pair.cols)
    ]
    return front(found, programme.limited)


def _final(
    make: Callable[..., Piece],
    consumer: str,
    whole: Piece,
    parts: tuple[Piece, ...],
    price: Callable[[int, int, int | None], int],
) -> Piece:
    inner = parts[0].cols if len(parts) == 2 else None
    batch = max(part.batch for part in parts)
    own = batch * price(whole.rows, whole.cols, inner)
    kept = {"solve": 1, "diagonal": 1, "svd": whole.rows + whole.cols}[consumer]
    least = min(whole.rows, whole.cols, inner or whole.cols)
    shape: Shape = (least if consumer == "svd" else whole.cols, kept, "dense", batch)
    how = cast(How, consumer)
    return make(how, whole.first, whole.last, shape, parts, own)


def _solve(rows: int, cols: int, inner: int | None) -> int:
    if inner is None:
        small, large = sorted((rows, cols))
        return symmetric(small, large) + small**3 // 6 + 2 * rows * cols
    return (rows + cols) * (2 * inner**2 + inner) + 4 * inner**3


def _svd(rows: int, cols: int, inner: int | None) -> int:
    if inner is None:
        small, large = sorted((rows, cols))
        return 4 * large * small**2 + 8 * small**3
    return 3 * (rows + cols) * inner**2 + 12 * inner**3


def _diagonal(rows: int, cols: int, inner: int | None) -> int:
    if inner is None:
        return rows * cols
    return symmetric(inner, rows) + inner * inner * cols + inner * cols


_PRICES = {"solve": _solve, "svd": _svd, "diagonal": _diagonal}


def _logdet(programme: Programme) -> list[Piece]:
    """Of square parts the logarithms add up, so a square chain is cut wherever it is as wide.

    A product through a narrower width than both its ends is singular: nothing is computed.
    """
    top, links = programme.length - 1, programme.links
    rows, cols = links[top].rows, links[0].cols
    make = programme.pieces.make
    if min(link.rows for link in links) < min(rows, cols):
        return [make("logdet", 0, top, (1, 1, "diagonal", 1), (), 0)]
    so_far: dict[int, list[Piece]] = {}
    for last in range(programme.length):
        if last != top and not (rows == cols == links[last].rows):
            continue
        found = [_logs(make, part, ()) for part in programme.best(0, last)]
        for cut, earlier in so_far.items():
            for part in programme.best(cut + 1, last):
                found += [_logs(make, part, before.parts) for before in earlier]
        so_far[last] = front(found, programme.limited)
    return so_far[top]


def _logs(make: Callable[..., Piece], part: Piece, before: tuple[Piece, ...]) -> Piece:
    parts = (*before, part)
    own = sum(_volume(p) for p in parts)
    first, last = parts[0].first, part.last
    batch = max(p.batch for p in parts)
    return make("logdet", first, last, (1, 1, "diagonal", batch), parts, own)


def _volume(part: Piece) -> int:
    """The fma of an LU of a square part, of a QR of another; a diagonal is read off."""
    if part.form != "dense":
        return part.batch * part.rows
    small, large = sorted((part.rows, part.cols))
    return part.batch * (small**3 // 3 if small == large else large * small**2)
