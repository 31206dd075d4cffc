"""Orders of elimination: the modes, greedy ones, annealing, and the best one of all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pullback.plan.elimination.graph import Elimination, LinearisedGraph, Order

EXACT = 18  # vertices up to which all orders are weighed against each other
_WORD = 63  # bits
_GREEDY = 32  # greedy orders whose ties fall by chance


@dataclass(frozen=True)
class Found:
    """An order, its cost in fma, and how it was found."""

    order: Order
    fma: int
    how: str


def forward(graph: LinearisedGraph) -> Found:
    """Forward mode: in the order of the program."""
    return Found(graph.inner, graph.cost(graph.inner), "forward")


def reverse(graph: LinearisedGraph) -> Found:
    """Reverse mode, which is backpropagation."""
    order = graph.inner[::-1]
    return Found(order, graph.cost(order), "reverse")


def markowitz(graph: LinearisedGraph, rng: np.random.Generator | None = None) -> Found:
    """Always the vertex that costs least now; of equal ones the first, or any where there is rng.

    Griewank and Reese (1991), after Markowitz (1957).
    """
    left, waiting, order, total = Elimination(graph), [*graph.inner], [], 0
    while waiting:
        degrees = [left.degree(vertex) for vertex in waiting]
        least = min(degrees)
        ties = [at for at, degree in enumerate(degrees) if degree == least]
        at = ties[0] if rng is None else int(rng.choice(ties))
        vertex = waiting.pop(at)
        total += left.eliminate(vertex)
        order.append(vertex)
    return Found(tuple(order), total, "markowitz" if rng is None else "greedy")


def annealed(
    graph: LinearisedGraph,
    start: Found,
    seconds: float,
    rng: np.random.Generator,
    advance: Callable[[float], None] = lambda share: None,
) -> Found:
    """Simulated annealing: one vertex moves to another place; ``seconds`` of processor time."""
    order, cost = [*start.order], start.fma
    best = start
    began = time.process_time()
    share, count, hot = 0.0, len(order), max(1.0, 0.03 * start.fma)
    while count > 1 and share < 1:
        heat = hot * (1e-3**share)
        for _ in range(50):
            out, back = (int(each) for each in rng.integers(count, size=2))
            moved = [*order]
            moved.insert(back, moved.pop(out))
            new = graph.cost(moved)
            if new <= cost or rng.random() < math.exp((cost - new) / heat):
                order, cost = moved, new
                if cost < best.fma:
                    best = Found(tuple(order), cost, "annealing")
        share = (time.process_time() - began) / seconds
        advance(min(share, 1.0))
    return best


def exact(graph: LinearisedGraph) -> Found | None:
    """The cheapest order, by dynamic programming over sets; None where there are too many vertices.

    What a vertex costs depends on which others are gone, not on the order in which they went: for
    a set of gone vertices the least cost is that of the set without its last one, plus that one's.
    """
    inner = graph.inner
    n, ends = len(inner), max(len(graph.inputs), len(graph.outputs))
    if n > EXACT or n + ends > _WORD:
        return None
    into = _counts(graph.masks[0], inner, graph.inputs)
    onto = _counts(graph.masks[1], inner, graph.outputs)
    least = np.full(2**n, np.iinfo(np.int64).max)
    last = np.zeros(2**n, np.int8)
    least[0] = 0
    sets = np.arange(2**n)
    size = np.bitwise_count(sets)
    for gone in range(n):
        level = sets[size == gone]
        for at in range(n):
            here = level[level >> at & 1 == 0]
            there, cost = here | 1 << at, least[here] + into[at, here] * onto[at, here].astype(int)
            better = cost < least[there]
            least[there[better]], last[there[better]] = cost[better], at
    order, gone = [], 2**n - 1
    while gone:
        order.append(inner[last[gone]])
        gone &= ~(1 << int(last[gone]))
    return Found(tuple(reversed(order)), int(least[-1]), "exact")


def _counts(masks: tuple[int, ...], inner: Order, ends: tuple[int, ...]) -> np.ndarray:
    """(vertices, sets of gone ones): how many neighbours on this side each vertex has then."""
    place = {vertex: at for at, vertex in enumerate((*inner, *ends))}
    n = len(inner)
    beside = np.zeros((n, 2**n), np.int64)
    for at, vertex in enumerate(inner):
        beside[at, 0] = sum(1 << to for each, to in place.items() if masks[vertex] >> each & 1)
    for new in range(n):  # the sets whose last member is this one, from those without it
        old, bit = slice(0, 1 << new), 1 << new
        reached = beside[:, old] & bit != 0
        through = (beside[:, old] | beside[new, old]) & ~bit
        beside[:, bit : 2 * bit] = np.where(reached, through, beside[:, old])
    return np.bitwise_count(beside).astype(np.int8)


def best(
    graph: LinearisedGraph,
    seconds: float,
    seed: int,
    advance: Callable[[float], None] = lambda share: None,
) -> tuple[Found, ...]:
    """Every way that was tried, the cheapest one last; of equally cheap ones the simplest."""
    tried = [forward(graph), reverse(graph), markowitz(graph)]
    proven = exact(graph)
    if proven is not None:
        return _ranked([*tried, proven])
    rng = np.random.default_rng(seed)
    tried.append(min((markowitz(graph, rng) for _ in range(_GREEDY)), key=lambda each: each.fma))
    start = min(tried, key=lambda each: each.fma)
    return _ranked([*tried, annealed(graph, start, seconds, rng, advance)])


def _ranked(tried: list[Found]) -> tuple[Found, ...]:
    return tuple(sorted(tried, key=lambda each: each.fma, reverse=True))
