"""``plan_chain``: the cheapest order for somebody's own chain of matrices or programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from pullback.errors import ConfigError, ShapeError, unknown, whole
from pullback.plan.chain.consumers import check_consumer, pieces_for
from pullback.plan.chain.cost import Costs, Link
from pullback.plan.chain.piece import Piece
from pullback.plan.chain.plan import Plan
from pullback.plan.chain.programme import Programme

MODES = ("dense", "matrix_free")


def plan_chain(
    dims: Sequence[int],
    edges: Sequence[int] | None = None,
    mode: str = "dense",
    consumer: str | None = None,
    memory: int | None = None,
) -> Plan:
    """The cheapest order for a chain of factors F_q … F_1 of the given widths, input first.

    Factor i is a matrix (dims[i], dims[i-1]); the cost of a chain of matrices is the same read
    from either end. With ``mode="matrix_free"`` factors are programs that push one column or pull
    one row for ``edges[i]`` fma (by default as many as the matrix has entries); with
    ``mode="dense"`` they are arrays. ``consumer`` is what is wanted: dense (the default), pair,
    jvp, vjp, gram, normal, solve, svd, logdet or diagonal. ``memory`` bounds in bytes (8 a number)
    what the plan holds at a time beside the factors, the tapes of its adjoint sweeps included.
    Raises ConfigError, UnknownNameError, and ConfigError with the least memory that would do.

    The dynamic programme is the textbook's for matrix chains, and Naumann's (2020) with sweeps.

    >>> p = plan_chain([30, 35, 15, 5, 10, 20, 25])
    >>> p.cost, p.brackets
    (15125, '((F6 (F5 F4)) ((F3 F2) F1))')
    >>> plan_chain([3, 3, 1, 2], edges=[29, 14, 7], mode="matrix_free").table()
    {'forward': 150, 'reverse': 100, 'preaccumulate': 123, 'optimal': 56}
    """
    widths = [whole("a width of dims", width) for width in dims]
    if len(widths) < 2:
        raise ConfigError(f"dims has {len(widths)} widths; expected at least 2: input and output")
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    if edges is not None and mode == "dense":
        raise ConfigError('edges are for mode="matrix_free"; with "dense" the factors are arrays')
    count = len(widths) - 1
    if edges is not None and len(edges) != count:
        raise ConfigError(f"edges has {len(edges)} entries; dims makes {count} factors")
    wanted = "dense" if consumer is None else check_consumer(consumer)
    limit = None if memory is None else whole("memory", memory, 0, " (bytes)")
    links = []
    for at, (cols, rows) in enumerate(pairwise(widths)):
        work = None
        if mode == "matrix_free":
            work = rows * cols if edges is None else whole(f"edges[{at}]", edges[at])
        links.append(Link(rows, cols, name=f"F{at + 1}", edges=work))
    return plan_links(tuple(links), wanted, Costs(memory=limit))


@lru_cache(maxsize=256)
def plan_links(links: tuple[Link, ...], consumer: str, costs: Costs, columns: int = 1) -> Plan:
    """The plan for a chain of links, input first; ``columns`` is the width of a vector to apply."""
    for at, (before, after) in enumerate(pairwise(links)):
        if after.cols != before.rows:
            raise ShapeError(
                f"factors {at + 1} and {at + 2} do not chain: {after.name} has shape "
                f"({after.rows}, {after.cols}) and is applied to what {before.name} "
                f"({before.rows}, {before.cols}) gives"
            )
    asked = links
    if consumer == "jvp":
        asked = (Link(links[0].cols, columns, name="v"), *links)
    elif consumer == "vjp":
        asked = (*links, Link(columns, links[-1].rows, name="uᵀ"))
    elif consumer == "normal":
        asked = tuple(link.T for link in reversed(links))
    programme = Programme(asked, costs)
    found = pieces_for(programme, consumer)
    fitting = [p for p in found if costs.memory is None or p.peak <= costs.memory]
    if not fitting:
        least = min(piece.peak for piece in found)
        raise ConfigError(
            f"memory is {costs.memory} bytes; the plan that needs the fewest needs {least}"
        )
    optimal = min(fitting, key=lambda piece: piece.rank)
    forward, reverse = (_finished(programme, consumer, forward) for forward in (True, False))
    if consumer == "normal":  # forward mode of the transposed chain is reverse mode of this one
        forward, reverse = reverse, forward
    preaccumulated = None
    if any(link.edges is not None for link in asked):
        preaccumulated = _preaccumulated(programme)
    return Plan(consumer, asked, costs, optimal, forward, reverse, preaccumulated)


def _finished(programme: Programme, consumer: str, forward: bool) -> Piece:
    """What a mode that always makes the whole product would cost for this consumer."""
    whole_product = programme.fold(forward)
    if consumer in ("dense", "pair", "jvp", "vjp"):
        return whole_product
    link = Link(whole_product.rows, whole_product.cols, whole_product.form, whole_product.batch)
    alone = Programme((link,), replace(programme.costs, memory=None))
    (after,) = pieces_for(alone, consumer)
    return replace(
        after,
        first=whole_product.first,
        last=whole_product.last,
        parts=(whole_product,),
        fma=after.fma + whole_product.fma,
        written=after.written + whole_product.written,
        peak=max(whole_product.peak, whole_product.held + after.peak),
        rank=after.rank + whole_product.rank,
    )


def _preaccumulated(programme: Programme) -> Piece:
    """Every factor made dense first, then the cheapest product of the arrays."""
    builds = [
        min(programme.pieces.build(at), key=lambda piece: piece.rank)
        if link.edges is not None
        else programme.pieces.given(at)
        for at, link in enumerate(programme.links)
    ]
    dense = tuple(replace(link, edges=None, build=None) for link in programme.links)
    product = Programme(dense, replace(programme.costs, memory=None)).best(0, len(dense) - 1)[0]
    return replace(
        product,
        fma=product.fma + sum(piece.fma for piece in builds),
        written=product.written + sum(piece.written for piece in builds),
        peak=product.peak + sum(piece.held for piece in builds),
        rank=product.rank + sum(piece.rank for piece in builds),
    )
