"""What is kept and what is computed again: against exhaustive searches, and by laws."""

import random
from dataclasses import replace

import pytest

from pullback.emit.recompute.arena import Stay, placed
from pullback.emit.recompute.blocks import ForwardBlocks
from pullback.emit.recompute.computation import (
    Computation,
    Job,
    RunOrder,
    in_order,
    is_possible,
)
from pullback.emit.recompute.eviction import Eviction, EvictionRule
from pullback.emit.recompute.exact import SetSearch
from pullback.emit.recompute.spare import spared

# (budget, least cost), computed by exhaustive search (Dijkstra over the set in memory)
CHAINS = {
    5: [(4, 18), (5, 16), (6, 15)],
    6: [(4, 24), (5, 20), (6, 19), (7, 18)],
    7: [(4, 31), (5, 24), (6, 23), (7, 22), (8, 21)],
}
PYRAMID = [(10, 54), (11, 45), (12, 44), (13, 43), (15, 41), (16, 40), (17, 39)]
U_NET = [(5, 26), (6, 19), (7, 18)]
U_NET_OF_SIZES = [(14, 62), (15, 45), (16, 44), (17, 43), (18, 42)]
RESNET = [(5, 20), (6, 19), (7, 18)]


def network(costs, skips=(), once=True):
    """f_i reads f_{i-1} and what skips to it; g_i reads f_i, f_{i-1} and the g of f_i's readers.

    f_i costs and takes costs[i - 1], and g_i twice that and as much.
    """
    n = len(costs)
    into = {i: [j for j in (i - 1, *(a for a, b in skips if b == i)) if j] for i in costs_of(n)}
    jobs = [Job((i - 1,), tuple(j - 1 for j in into[i]), costs[i - 1]) for i in costs_of(n)]
    for i in reversed(costs_of(n)):
        above = [2 * n - k for k in costs_of(n) if i in into[k]]
        reads = (*above, i - 1, *([i - 2] if i > 1 else []))
        jobs.append(Job((2 * n - i,), reads, 2 * costs[i - 1], once=once or i == 1))
    return Computation(tuple(jobs), (*costs, *reversed(costs)))


def costs_of(n):
    return range(1, n + 1)


def least(computation, budget):
    search = SetSearch(computation, budget)
    found = search.cheapest()
    assert search.ended
    if found is not None:
        assert is_possible(replace_once(computation), found.runs)
        assert found.peak <= budget
    return None if found is None else found.work


def replace_once(computation):
    """The same computation, all of whose jobs may run again."""
    return replace(computation, jobs=tuple(replace(job, once=False) for job in computation.jobs))


@pytest.mark.parametrize("n", CHAINS)
def test_chains_cost_the_least_that_there_is(n):
    chain = network([1] * n)
    assert [(budget, least(chain, budget)) for budget, _ in CHAINS[n]] == CHAINS[n]
    assert least(chain, 3) is None


@pytest.mark.parametrize(
    ("computation", "table"),
    [
        (network([4, 2, 1, 2, 4]), PYRAMID),
        (network([1] * 6, [(1, 6), (2, 5)], once=False), U_NET),
        (network([4, 2, 1, 1, 2, 4], [(1, 6), (2, 5)], once=False), U_NET_OF_SIZES),
        (network([1] * 6, [(2, 4), (4, 6)], once=False), RESNET),
    ],
    ids=["pyramid", "u-net", "u-net of sizes", "resnet"],
)
def test_graphs_cost_the_least_that_there_is(computation, table):
    assert [(budget, least(computation, budget)) for budget, _ in table] == table
    assert least(computation, table[0][0] - 1) is None


@pytest.mark.parametrize("n", [5, 7, 20])
def test_keeping_everything_needs_a_chain_and_one_cotangent(n):
    everything = in_order(network([1] * n))
    assert (everything.peak, everything.work, everything.extra) == (n + 1, 3 * n, 0)


def test_a_search_that_gives_up_says_so():
    search = SetSearch(network([1] * 20), 8, most=100)
    assert search.cheapest() is None
    assert not search.ended


def drawn(seed):
    """A network of random costs and skips, and a limit between nothing and everything."""
    rng = random.Random(seed)
    n = rng.randint(3, 14)
    costs = [rng.randint(1, 9) for _ in range(n)]
    skips = {(a, b) for a in range(1, n - 1) for b in range(a + 2, n + 1) if rng.random() < 0.1}
    computation = network(costs, sorted(skips))
    return computation, rng.randint(1, in_order(computation).peak), rng


@pytest.mark.parametrize("seed", range(60))
def test_whatever_leaves_on_the_way_the_limit_holds(seed):
    computation, limit, rng = drawn(seed)
    rule = EvictionRule(rng.choice((0.3, 1.0)), rng.choice((0.0, 0.5, 2.0)))
    dropped = ForwardBlocks(computation).dropped(limit) or ()
    for chosen in ((), dropped):
        found = Eviction(computation, limit, rule, chosen).order()
        if found is None:
            continue
        shorter = spared(found, limit)
        for each in (found, shorter):
            assert is_possible(computation, each.runs)
            assert each.peak <= limit
        assert shorter.work <= found.work
        search = SetSearch(computation, limit, most=20_000)
        exact = search.cheapest()
        if search.ended:
            assert exact is not None
            assert exact.work <= shorter.work + 1e-9


def test_rules_find_nearly_the_least_on_chains():
    for n, table in CHAINS.items():
        for budget, cost in table:
            rules = (EvictionRule(1.0, time) for time in (0.0, 0.5, 1.0, 2.0))
            found = (Eviction(network([1] * n), budget, rule).order() for rule in rules)
            assert min(each.work for each in found if each is not None) <= cost + 1


def test_bytes_in_use_are_counted_run_by_run():
    """The result of the third job may lie where that of the second lay."""
    jobs = (Job((0,), (), 1), Job((1,), (0,), 1, room=5), Job((2,), (1,), 1, over=(1,)))
    order = in_order(Computation(jobs, (10, 20, 20)))
    assert order.occupied == (10, 35, 20)
    again = RunOrder(order.computation, (0, 1, 0, 1, 2))
    assert (again.peak, again.work) == (35, 5)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_in_use_at_a_time_lies_apart(seed):
    rng = random.Random(seed)
    stays = []
    for _ in range(rng.randint(1, 40)):
        begin = rng.randint(0, 20)
        stays.append(Stay(rng.randint(0, 1000), begin, begin + rng.randint(0, 8)))
    places, total = placed(stays)
    for at, (one, place) in enumerate(zip(stays, places, strict=True)):
        assert place % 64 == 0
        assert place + one.size <= total or not one.size
        for other, there in zip(stays[:at], places[:at], strict=True):
            if one.begin <= other.end and other.begin <= one.end and one.size and other.size:
                assert place + one.size <= there or there + other.size <= place
