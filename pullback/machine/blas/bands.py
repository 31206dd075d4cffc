"""One panel of B with all rows of A: bands of tiles, one band below the other.

Tiles of one height are a band. A band copies a tile's rows of A where steps of the depth lie far
apart, so that they are read once, and not again for each strip of B.
"""

from __future__ import annotations

from llvmlite import ir

from pullback.machine.blas.pack import pack_left
from pullback.machine.blas.tile import Tiling, function, tile
from pullback.machine.blas.writer import WHOLE, Writer, whole

_SHALLOW = 32  # steps, below which it is C that takes the time, and fewer of its rows are written
_STRIPS = 2  # of B, from which on rows of A are copied that would be read for each


def arguments(cut: Tiling) -> list[ir.Type]:
    """(m, n, depth, α, A and two strides, B and two strides, β, C and one stride)."""
    matrix = [cut.real.as_pointer(), WHOLE, WHOLE]
    return [WHOLE, WHOLE, WHOLE, cut.real, *matrix, *matrix, cut.real, *matrix[:2]]


def bands(module: ir.Module, cut: Tiling) -> ir.Function:
    """All rows of A times one panel; ``strip`` is how far strips of B lie apart.

    Tall tiles take as many rows as leave none, or more than half a short one's, to short tiles.
    """
    made = function(module, "tiles", arguments(cut))
    m, _, depth, _, a, a_row, *_, c, c_row = made.args
    w = Writer(made, cut.real, cut.lanes)
    tall, short = cut.heights[0], cut.heights[-1]
    copy_rows = pack_left(module, cut)
    done = whole(0)
    for height in cut.heights:
        band = _band(module, cut, height, copy_rows)
        if height == short:
            rows = w.sub(m, done)
        else:
            over = w.urem(m, whole(tall))
            few = w.and_(
                w.icmp_signed(">", over, whole(0)), w.icmp_signed("<=", over, whole(short // 2))
            )
            less = w.add(over, w.select(few, whole(tall), whole(0)))
            shallow = w.icmp_signed("<", depth, whole(_SHALLOW))
            rows = w.larger(w.sub(m, w.select(shallow, m, less)), whole(0))
        given = list(made.args)
        given[0], given[4], given[-2] = rows, w.at(a, (done, a_row)), w.at(c, (done, c_row))
        with w.if_then(w.icmp_signed(">", rows, whole(0))):
            w.call(band, given)
        done = rows
    w.ret_void()
    return made


def _band(module: ir.Module, cut: Tiling, height: int, copy_rows: ir.Function) -> ir.Function:
    """The same in tiles of one height."""
    made = function(module, f"band_{height}", arguments(cut))
    m, n, depth, alpha, a, a_row, a_step, b, b_step, strip, beta, c, c_row = made.args
    whole_tile = tile(module, cut, height, cut.vectors, partial=False)
    partial = tile(module, cut, height, cut.vectors, partial=True)
    narrow = tile(module, cut, height, 1, partial=True)
    lowest = height == cut.heights[-1]
    low = tile(module, cut, height // 2, cut.vectors, partial=True) if lowest else partial
    w = Writer(made, cut.real, cut.lanes)
    copy = w.alloca(cut.real, whole(cut.depth * cut.padded))
    copy.align = 64
    # steps that lie far apart are read once, where strips of B would read them again and again
    again = w.icmp_signed(">", n, whole(_STRIPS * cut.width))
    far = w.icmp_signed(">", a_step, whole(cut.padded))
    copied = w.and_(w.is_one(a_row), w.and_(again, far))
    a_copied = w.select(copied, whole(cut.padded), a_step)
    with w.loop(whole(0), m, height) as i:
        rows, a_rows = w.sub(m, i), w.at(a, (i, a_row))
        with w.if_then(copied):
            w.call(copy_rows, [a_rows, a_step, w.smaller(rows, whole(height)), depth, copy])
        a_at = w.select(copied, copy, a_rows)
        with w.loop(whole(0), n, cut.width) as j:
            columns = w.sub(n, j)
            few = w.select(w.icmp_signed("<=", rows, whole(height // 2)), low, partial)
            few = w.select(w.icmp_signed("<=", columns, whole(cut.lanes)), narrow, few)
            all_there = w.and_(
                w.icmp_signed(">=", rows, whole(height)),
                w.icmp_signed(">=", columns, whole(cut.width)),
            )
            b_at = w.at(b, (w.udiv(j, whole(cut.width)), strip))
            given = [depth, a_at, a_row, a_copied, b_at, b_step]
            given += [w.at(c, (i, c_row), j), c_row, rows, columns, alpha, beta]
            w.call(w.select(all_there, whole_tile, few), given)
    w.ret_void()
    return made
