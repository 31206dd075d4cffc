"""A plan is the cheapest order: as brute force finds it, and as published."""

import numpy as np
import pytest
from brute import Chain
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.errors import ConfigError, ShapeError, UnknownNameError
from pullback.plan.chain.cost import Costs, Link
from pullback.plan.chain.planner import plan_links
from pullback.plan.chain.programme import Programme

widths = st.integers(1, 12)


@st.composite
def chains(draw, longest=8, forms=("dense", "diagonal", "identity", "free")):
    """A random chain: a diagonal or an identity keeps the width."""
    count = draw(st.integers(1, longest))
    dims, chosen, edges = [draw(widths)], [], []
    for _ in range(count):
        form = draw(st.sampled_from(forms))
        dims.append(dims[-1] if form in ("diagonal", "identity") else draw(widths))
        chosen.append(form)
        cols, rows = dims[-2:]
        work = {"dense": rows * cols, "diagonal": rows, "identity": 0}.get(form)
        edges.append(draw(st.integers(1, 2 * rows * cols)) if work is None else work)
    return Chain(tuple(dims), tuple(chosen), tuple(edges))


def links(chain):
    return tuple(
        Link(rows, cols, "dense", edges=edges) if form == "free" else Link(rows, cols, form)
        for cols, rows, form, edges in zip(
            chain.dims, chain.dims[1:], chain.forms, chain.edges, strict=False
        )
    )


@settings(max_examples=60, deadline=None)
@given(dims=st.lists(st.integers(1, 60), min_size=2, max_size=9))
def test_plan_of_matrices_is_the_best_of_every_bracketing(dims):
    chain = Chain(tuple(dims), ("dense",) * (len(dims) - 1), (0,) * (len(dims) - 1))
    best = min(way.fma for way in chain.ways(0, len(dims) - 2))
    assert pb.plan_chain(dims).cost == best


@settings(max_examples=40, deadline=None)
@given(chain=chains(longest=5))
def test_plan_of_mixed_factors_is_the_best_of_every_order(chain):
    best = min(way.fma for way in chain.ways(0, len(chain.forms) - 1))
    assert plan_links(links(chain), "dense", Costs()).cost == best


@settings(max_examples=15, deadline=None)
@given(chain=chains(longest=8, forms=("dense", "diagonal")))
def test_plan_of_long_structured_chains_is_the_best_of_every_bracketing(chain):
    best = min(way.fma for way in chain.ways(0, len(chain.forms) - 1))
    assert plan_links(links(chain), "dense", Costs()).cost == best


@settings(max_examples=30, deadline=None)
@given(chain=chains(longest=5, forms=("dense", "diagonal", "identity")))
def test_plan_of_a_gram_matrix_is_the_best_of_every_nesting(chain):
    best = min(way.fma for way in chain.grams(len(chain.forms) - 1))
    assert plan_links(links(chain), "gram", Costs()).cost == best


@settings(max_examples=40, deadline=None)
@given(chain=chains(longest=4), part=st.floats(0, 1))
def test_plan_under_a_memory_limit_is_the_best_that_fits(chain, part):
    ways = list(chain.ways(0, len(chain.forms) - 1))
    least, most = min(w.peak for w in ways), max(w.peak for w in ways)
    limit = int(least + part * (most - least))
    plan = plan_links(links(chain), "dense", Costs(memory=limit))
    assert plan.cost == min(way.fma for way in ways if way.peak <= limit)
    assert plan.peak <= limit
    if least:
        with pytest.raises(ConfigError, match=rf"needs {least}$"):
            plan_links(links(chain), "dense", Costs(memory=least - 1))


@pytest.mark.parametrize(
    ("dims", "cost"),
    [
        ([30, 35, 15, 5, 10, 20, 25], 15125),  # Cormen et al., Introduction to Algorithms, 15.2
        ([5, 10, 3, 12, 5, 50, 6], 2010),  # the same, exercise 15.2-1
        ([40, 20, 30, 10, 30], 26000),
        ([10, 20, 30, 40, 30], 30000),
        ([10, 30, 5, 60], 4500),
        ([1000, 50, 1000, 20, 800, 30, 600], 14_840_000),
    ],
)
def test_known_optimum_of_a_matrix_chain(dims, cost):
    assert pb.plan_chain(dims).cost == cost
    assert pb.plan_chain(dims[::-1]).cost == cost


def test_chain_with_bottlenecks_has_42_bracketings_and_its_factors_are_cheap():
    dims = (1000, 50, 1000, 20, 800, 30, 600)
    ways = [way.fma for way in Chain(dims, ("dense",) * 6, (0,) * 6).ways(0, 5)]
    assert (len(ways), min(ways), max(ways)) == (42, 14_840_000, 1_360_400_000)
    programme = Programme(pb.plan_chain(dims).links, Costs())
    assert programme.best(0, 2)[0].fma + programme.best(3, 5)[0].fma == 2_840_000


# Instances and results: github.com/un110076/ADMission, GDJCPB (U. Naumann, Optimization of
# generalized Jacobian chain products without memory constraints, 2020), commit b438c83.
@pytest.mark.parametrize(
    ("dims", "edges", "costs"),
    [
        ([3, 3, 1, 2], [29, 14, 7], (150, 100, 123, 56)),
        ([2, 4, 8], [100, 100], (400, 1600, 664, 400)),
        ([4, 2, 32], [100, 100], (800, 6400, 656, 600)),
        ([4, 2, 4], [100, 100], (800, 800, 432, 432)),
        (
            [6, 2, 3, 7, 10, 2, 2, 9, 3, 2, 9],
            [19, 18, 62, 156, 73, 14, 30, 132, 12, 102],
            (3708, 5562, 2618, 1344),
        ),
    ],
)
def test_known_optimum_of_a_matrix_free_chain(dims, edges, costs):
    plan = pb.plan_chain(dims, edges, mode="matrix_free")
    names = ("forward", "reverse", "preaccumulate", "optimal")
    assert plan.table() == dict(zip(names, costs, strict=True))


def test_plan_for_one_row_is_reverse_mode_and_for_one_column_forward_mode():
    dims = [7, 5, 9, 4]
    row, column = (pb.plan_chain(dims, consumer=consumer) for consumer in ("vjp", "jvp"))
    assert row.cost == row.table()["reverse"] == 7 * 5 + 5 * 9 + 9 * 4
    assert row.verdict == "Reverse mode is already optimal here."
    assert column.cost == column.table()["forward"] == row.cost
    assert column.verdict == "Forward mode is already optimal here."


def test_scalar_loss_needs_no_plan():
    plan = pb.plan_chain([784, 256, 10, 1])
    assert plan.verdict == "Reverse mode is already optimal here."
    assert plan.brackets == "((F3 F2) F1)"


def test_normal_is_gram_of_the_transposed_chain():
    dims = [9, 2, 7, 3, 8]
    normal, gram = (
        pb.plan_chain(dims, consumer="normal"),
        pb.plan_chain(dims[::-1], consumer="gram"),
    )
    assert normal.cost == gram.cost
    assert normal.table()["forward"] == gram.table()["reverse"]
    assert normal.brackets == "F1ᵀ [((F2ᵀ F3ᵀ) F4ᵀ) ((F2ᵀ F3ᵀ) F4ᵀ)ᵀ] F1"


def test_log_determinant_of_a_square_chain_is_never_multiplied():
    plan = pb.plan_chain([6, 6, 9, 6], consumer="logdet")
    assert plan.cost == 6 * 9 * 6 + 2 * 6**3 // 3
    assert pb.plan_chain([6, 5, 6], consumer="logdet").cost == 0  # singular


def test_plan_prints_itself():
    plan = pb.plan_chain([30, 35, 15, 5, 10, 20, 25])
    text = plan.text()
    for part in ("2.68× fewer fma than forward mode", plan.brackets, "15,125", "40,500", "47,500"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    facts = plan.to_dict()
    assert facts["cost"] == sum(step["fma"] for step in facts["steps"]) == 15125
    assert facts["modes"]["optimal"]["written"] == sum(step["written"] for step in facts["steps"])
    assert "15,125" in plan._repr_html_()
    assert plan.latex() == "((F_{6} (F_{5} F_{4})) ((F_{3} F_{2}) F_{1}))"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (dict(dims=[3]), ConfigError, "expected at least 2"),
        (dict(dims=[3, 0]), ConfigError, "a width of dims is 0"),
        (dict(dims=[3, 2], mode="matrixfree"), UnknownNameError, "did you mean 'matrix_free'"),
        (dict(dims=[3, 2], edges=[1]), ConfigError, "edges are for"),
        (dict(dims=[3, 2], edges=[1, 2], mode="matrix_free"), ConfigError, "dims makes 1"),
        (dict(dims=[3, 2], edges=[0], mode="matrix_free"), ConfigError, r"edges\[0\] is 0"),
        (dict(dims=[3, 2], consumer="gramm"), UnknownNameError, "did you mean 'gram'"),
        (dict(dims=[3, 2, 4], memory=95), ConfigError, "needs 96"),
        (dict(dims=[3, 2, 4], memory=-1), ConfigError, "memory is -1"),
    ],
)
def test_bad_input(arguments, error, says):
    with pytest.raises(error, match=says):
        pb.plan_chain(**arguments)


def test_links_that_do_not_chain_show_both_shapes():
    with pytest.raises(ShapeError, match=r"A has shape \(4, 3\).* B \(2, 5\)"):
        plan_links((Link(2, 5, name="B"), Link(4, 3, name="A")), "dense", Costs())


def test_costs_are_counted_for_the_batch():
    shared, each = Link(4, 5), Link(3, 4, batch=7)
    assert plan_links((shared, each), "dense", Costs()).cost == 7 * 3 * 4 * 5
    assert np.isclose(plan_links((shared, each), "dense", Costs()).written, 7 * 3 * 5 * 8)
