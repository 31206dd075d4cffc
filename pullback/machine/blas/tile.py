"""The innermost part of a product: a tile of the result, held in registers.

The tile C (rows × columns) ← α A B + β C is a sum of outer products, one for each step k of the
depth: a column of A times a row of B. Each number of A is spread over a vector and multiplied with
the vectors of B's row, so that one step is rows × vectors multiplications-with-addition and only
rows + vectors loads: the arithmetic units never wait (Goto and van de Geijn, Anatomy of
high-performance matrix multiplication, ACM TOMS 34, 2008, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from pullback.machine.blas.writer import WHOLE, Value, Writer, whole


@dataclass(frozen=True)
class Tiling:
    """How a product is cut for a processor: the tile in registers, the panel of B in its cache.

    ``lanes`` are the numbers in a vector; a tile has as many rows as one of ``heights``, the
    tallest first, and ``vectors · lanes`` columns; a panel is ``depth`` by ``columns``, which is a
    multiple of the tile's columns.
    """

    real: ir.Type
    lanes: int
    heights: tuple[int, ...]
    vectors: int
    depth: int
    columns: int

    @property
    def width(self) -> int:
        """The columns of a tile."""
        return self.vectors * self.lanes

    @property
    def padded(self) -> int:
        """The rows of the tallest tile, and what whole vectors have beyond them."""
        return -(-self.heights[0] // self.lanes) * self.lanes


def function(module: ir.Module, name: str, arguments: list[ir.Type]) -> ir.Function:
    """A function for use inside the module; its code stands there once."""
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    made.linkage = "internal"
    made.attributes.add("noinline")
    return made


def tile(module: ir.Module, tiling: Tiling, rows: int, vectors: int, partial: bool) -> ir.Function:
    """The function (depth, A, a_row, a_step, B, b_step, C, c_row, rows, columns, α, β).

    The strides count numbers; rows of B and C lie side by side. A partial tile may have fewer rows
    and columns than the function's name says, at least one each. C is not read where β is 0.
    """
    real = tiling.real
    place = real.as_pointer()
    kinds = [WHOLE, place, WHOLE, WHOLE, place, WHOLE, place, WHOLE, WHOLE, WHOLE, real, real]
    name = f"{'partial' if partial else 'whole'}_tile_{rows}_{vectors}"
    made = function(module, name, kinds)
    depth, a, a_row, a_step, b, b_step, c, c_row, there, columns, alpha, beta = made.args
    w = Writer(made, real, tiling.lanes)
    masks = [w.lanes_below(columns, v * tiling.lanes) if partial else None for v in range(vectors)]

    # a row that is not there repeats the last one, and its sums are not written
    last = w.sub(there, whole(1))
    numbers = [w.smaller(whole(r), last) if partial else whole(r) for r in range(rows)]
    starts = [w.at(a, (number, a_row)) for number in numbers]
    for number in numbers:
        for v in range(vectors):
            w.fetch(w.at(c, (number, c_row), whole(v * tiling.lanes)))
    before, body, after = w.block, w.append_basic_block("step"), w.append_basic_block("summed")
    w.cbranch(w.icmp_signed(">", depth, whole(0)), body, after)
    w.position_at_end(body)
    k, a_at, b_at = w.phi(WHOLE), w.phi(WHOLE), w.phi(place)
    sums = [[w.phi(w.vector) for _ in range(vectors)] for _ in range(rows)]
    b_row = [w.read(w.at(b_at, whole(v * tiling.lanes)), masks[v]) for v in range(vectors)]
    grown: list[list[Value]] = []
    for start, old in zip(starts, sums, strict=True):
        x = w.splat(w.load(w.at(start, a_at)))
        grown.append([w.fma(x, y, total) for y, total in zip(b_row, old, strict=True)])
    more = w.add(k, whole(1))
    for phi, begin, following in (
        (k, whole(0), more),
        (a_at, whole(0), w.add(a_at, a_step)),
        (b_at, b, w.at(b_at, b_step)),
        *((old, w.zeros(), new) for olds, news in zip(sums, grown, strict=True)
          for old, new in zip(olds, news, strict=True)),
    ):  # fmt: skip
        phi.add_incoming(begin, before)
        phi.add_incoming(following, body)
    w.cbranch(w.icmp_signed("<", more, depth), body, after)

    w.position_at_end(after)
    totals = []
    for news in grown:
        row = [w.phi(w.vector) for _ in news]
        for phi, new in zip(row, news, strict=True):
            phi.add_incoming(w.zeros(), before)
            phi.add_incoming(new, body)
        totals.append(row)
    factor, share = w.splat(alpha), w.splat(beta)
    with w.if_else(w.fcmp_unordered("!=", beta, ir.Constant(real, 0.0))) as branches:
        for branch, keeps in zip(branches, (True, False), strict=True):
            with branch, w.first(there if partial else whole(rows), rows) as present:
                for r in present:
                    for v in range(vectors):
                        target = w.at(c, (whole(r), c_row), whole(v * tiling.lanes))
                        value = w.fmul(factor, totals[r][v])
                        if keeps:
                            value = w.fma(share, w.read(target, masks[v]), value)
                        w.write(value, target, masks[v])
    w.ret_void()
    return made
