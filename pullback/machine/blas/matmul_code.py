"""The product of two matrices as machine code, made by LLVM for the processor that is here.

Panels of B that fit into the second cache are copied into the order in which they are read, and
each is multiplied with all rows of A, tile by tile. A's rows are read where they lie, for a tile
needs one number of each at a time, and those come in order; only where its columns do, steps far
apart, a tile's rows are copied too. So a product of small matrices needs no copy at all. A sum over
the depth has one order, whichever rows and columns are asked for: shares of a product have the bits
of the whole.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from pullback.machine.blas.bands import arguments, bands
from pullback.machine.blas.pack import pack
from pullback.machine.blas.tile import Tiling, function
from pullback.machine.blas.writer import WHOLE, Writer, whole
from pullback.machine.object.processor import optimised_code, vector_bytes

DTYPES = ("float32", "float64")
# multiplications below which a copy of B costs more than it saves
SMALL = 2**20
# of a panel; half of a cache of 1 MiB, which B's panel shares with A and C
_DEPTH, _ROW_BYTES = 512, 1024


def symbol(dtype: str) -> str:
    """The name by which compiled code calls the product.

    >>> symbol("float32")
    'pullback_product_float32'
    """
    return f"pullback_product_{dtype}"


def symbol_in_strips(dtype: str) -> str:
    """The name by which compiled code calls the product with a B in strips."""
    return f"pullback_strips_{dtype}"


def product_code(dtype: str) -> bytes:
    """Object code with the C functions that ``symbol`` and ``symbol_in_strips`` name.

    The first takes (m, n, depth, α, A, a_row, a_step, B, b_step, b_column, β, C, c_row, c_column),
    the strides in numbers, and does C ← α A B + β C; where β is 0, C is not read. Any strides will
    do; it is fast where the rows or the columns of each matrix lie side by side. The second one
    takes (m, n, depth, A, a_row, a_step, B, C, c_row) and does C ← A B. Its B lies in strips of as
    many columns as a tile has, one strip after the other and its rows one after the other.
    """
    module = ir.Module(symbol(dtype))
    names = symbol(dtype), symbol_in_strips(dtype)
    write_products(module, *names, tiling(dtype, vector_bytes()))
    return optimised_code(module)


def tiling(dtype: str, vector: int) -> Tiling:
    """How a product is cut for a processor with vectors of so many bytes.

    >>> cut = tiling("float32", 64)
    >>> cut.lanes, cut.heights, cut.width
    (16, (12, 8), 32)
    """
    real: Any = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    size = 4 if dtype == "float32" else 8
    heights, vectors = _tile_size(vector)
    lanes = vector // size
    width = vectors * lanes
    return Tiling(real, lanes, heights, vectors, _DEPTH, _ROW_BYTES // (size * width) * width)


def strip_width(lanes: int) -> int:
    """The columns of a strip of B, for this processor's vectors of so many numbers."""
    _, vectors = _tile_size(vector_bytes())
    return vectors * lanes


def _tile_size(vector: int) -> tuple[tuple[int, ...], int]:
    """As many sums as leave room in 32 or 16 registers for a row of B and a number of A."""
    return ((12, 8), 2) if vector == 64 else ((4,), 3)


def write_products(module: ir.Module, name: str, in_strips: str, cut: Tiling) -> None:
    """Add the two functions that ``product_code`` describes, under these names."""
    tiles = bands(module, cut)
    _write_product(module, name, cut, _panels(module, cut, tiles))
    _write_in_strips(module, in_strips, cut, tiles)


def _write_product(module: ir.Module, name: str, cut: Tiling, panels: ir.Function) -> None:
    """The product of any matrices."""
    kinds = [*arguments(cut), WHOLE]  # C has a stride more
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    m, n, depth, alpha, a, a_row, a_step, b, b_step, b_column, beta, c, c_row, c_column = made.args
    w = Writer(made, cut.real, cut.lanes)
    by_columns = w.and_(
        w.is_one(c_row), w.or_(w.icmp_signed("!=", c_column, whole(1)), w.is_one(n))
    )
    with w.if_else(by_columns) as (transposed, otherwise):
        with transposed:  # Cᵀ = Bᵀ Aᵀ has rows that lie side by side
            given = [n, m, depth, alpha, b, b_column, b_step, a, a_step, a_row, beta, c, c_column]
            w.call(panels, given)
        with otherwise:
            scattered = w.and_(w.not_(w.is_one(c_column)), w.icmp_signed(">", n, whole(1)))
            with w.if_else(scattered) as (one_by_one, at_once):
                with one_by_one, w.loop(whole(0), n, 1) as j:
                    column, target = w.at(b, (j, b_column)), w.at(c, (j, c_column))
                    given = [m, whole(1), depth, alpha, a, a_row, a_step, column, b_step, b_column]
                    w.call(panels, [*given, beta, target, c_row])
                with at_once:
                    given = [m, n, depth, alpha, a, a_row, a_step, b, b_step, b_column]
                    w.call(panels, [*given, beta, c, c_row])
    w.ret_void()


def _write_in_strips(module: ir.Module, name: str, cut: Tiling, tiles: ir.Function) -> None:
    """The product with a B in strips, which need no copy."""
    place, one, zero = cut.real.as_pointer(), *(ir.Constant(cut.real, x) for x in (1.0, 0.0))
    kinds = [WHOLE, WHOLE, WHOLE, place, WHOLE, WHOLE, place, place, WHOLE]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    m, n, depth, a, a_row, a_step, b, c, c_row = made.args
    w, width = Writer(made, cut.real, cut.lanes), whole(cut.width)
    with w.loop(whole(0), w.larger(depth, whole(1)), cut.depth) as k:  # once where there is none
        steps = w.smaller(whole(cut.depth), w.sub(depth, k))
        share = w.select(w.icmp_signed("==", k, whole(0)), zero, one)
        with w.loop(whole(0), n, cut.columns) as j:
            columns = w.smaller(whole(cut.columns), w.sub(n, j))
            panel = w.at(b, (j, depth), (k, width))
            given = [m, columns, steps, one, w.at(a, (k, a_step)), a_row, a_step]
            where = [panel, width, w.mul(depth, width), share]
            w.call(tiles, [*given, *where, w.at(c, j), c_row])
    w.ret_void()


def _panels(module: ir.Module, cut: Tiling, tiles: ir.Function) -> ir.Function:
    """The product with a C whose rows lie side by side, panel by panel."""
    real = cut.real
    copy_panel = pack(module, cut)
    made = function(module, "panels", arguments(cut))
    m, n, depth, alpha, a, a_row, a_step, b, b_step, b_column, beta, c, c_row = made.args
    w = Writer(made, real, cut.lanes)
    copy = w.alloca(real, whole(cut.depth * cut.columns))
    copy.align = 64
    small = w.icmp_signed("<=", w.mul(w.mul(m, n), depth), whole(SMALL))
    as_it_lies = w.and_(small, w.is_one(b_column))
    with w.loop(whole(0), w.larger(depth, whole(1)), cut.depth) as k:  # once where there is none
        steps = w.smaller(whole(cut.depth), w.sub(depth, k))
        share = w.select(w.icmp_signed("==", k, whole(0)), beta, ir.Constant(real, 1.0))
        with w.loop(whole(0), n, cut.columns) as j:
            columns = w.smaller(whole(cut.columns), w.sub(n, j))
            panel = w.at(b, (k, b_step), (j, b_column))
            a_at, c_at = w.at(a, (k, a_step)), w.at(c, j)
            with w.if_else(as_it_lies) as (read, copied):
                with read:
                    where = [panel, b_step, whole(cut.width)]
                    given = [m, columns, steps, alpha, a_at, a_row, a_step, *where, share]
                    w.call(tiles, [*given, c_at, c_row])
                with copied:
                    w.call(copy_panel, [panel, b_step, b_column, columns, steps, copy])
                    where = [copy, whole(cut.width), w.mul(steps, whole(cut.width))]
                    given = [m, columns, steps, alpha, a_at, a_row, a_step, *where, share]
                    w.call(tiles, [*given, c_at, c_row])
    w.ret_void()
    return made
