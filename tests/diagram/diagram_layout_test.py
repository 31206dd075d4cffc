"""Geometry: no edge through a node, no two edges in one place, no name over another or a node."""

import re
from functools import cache
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from general_networks import GENERAL

import pullback as pb
from pullback.diagram import diagram_of
from pullback.diagram.layout import SMALL, placed, width_of
from pullback.errors import ConfigError, StorageError
from pullback.ir import Add, Axis, Contract, Input

SQUARE = dict.fromkeys("ABCX", "n n") | dict.fromkeys("avx", "n")
TEXTS = {
    "0.5*x.T@A@x": "x",
    "tr(A@X.T@B@X@C)": "X",
    "tr(X@X@X@X)": "X",
    "sum((A@X)**2)": "X",
    "sum(diag(X)*v)": "X",
    "sum(X*A*B*C)": "X",
    "sum(x*v*a)": "x",
    "exp(A@x)*v": "x",
    "inv(X)": "X",
    "softmax(A@x, axis='n')": "x",
    "einsum('ij,ik,il->jkl', A, B, X)": "X",
    "einsum('ij,jk,ki,il,lk->', A, B, X, C, A)": "X",
    "sum(X)*eye(n)": "X",
}


def products(diagram):
    for line in diagram.lines:
        for term in line.terms:
            yield from placed(term, line.axes)


NETWORKS = {case.name: case for case in GENERAL[::5]}
NAMES = [*((text, order) for text in TEXTS for order in (0, 1, 2)), *NETWORKS]


@cache
def drawn(name):
    if name in NETWORKS:
        return list(products(pb.derive(NETWORKS[name].net).diagram()))
    text, order = name
    used = {n: axes for n, axes in SQUARE.items() if re.search(rf"\b{n}\b", text)}
    e = pb.expr(text, **used)
    return list(products((e.derivative(TEXTS[text], order) if order else e).diagram()))


def along(strand):
    """Points along an edge, close to one another, without its ends."""
    found = []
    for a, b in zip(strand.points, strand.points[1:], strict=False):
        found.append(np.linspace(a, b, 40))
    return np.concatenate(found)[1:-1]


def rectangle(name):
    return name.left, name.at[1] - SMALL / 2, width_of(name.text, SMALL), SMALL


def boxed(box):
    return box.left, box.top, box.width, box.height


def meet(one, other, room=0.0):
    (a, b, w, h), (c, d, v, g) = one, other
    return a + w > c + room and c + v > a + room and b + h > d + room and d + g > b + room


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_nothing_is_drawn_over_anything(name):
    for at in drawn(name):
        tensors = [box for box in at.boxes if box.tensor is not None]
        for box in tensors:
            for strand in at.strands:
                x, y = along(strand).T
                inside = (x > box.left + 0.6) & (x < box.left + box.width - 0.6)
                inside &= (y > box.top + 0.6) & (y < box.top + box.height - 0.6)
                assert not inside.any(), (box.tensor.label, strand)
        told = [rectangle(each) for each in at.names]
        shapes = [boxed(each) for each in tensors]
        for one, other in combinations([*shapes, *told], 2):
            assert not meet(one, other), (one, other)
        for strand in at.strands:
            x, y = along(strand).T
            for left, top, wide, high in told:
                over = (x > left + 1) & (x < left + wide - 1) & (y > top + 1) & (y < top + high - 1)
                assert not over.any(), strand


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_edges_of_two_axes_never_run_in_one_line(name):
    for at in drawn(name):
        pieces = [
            (strand.wire, np.array(piece))
            for strand in at.strands
            for piece in zip(strand.points, strand.points[1:], strict=False)
        ]
        for (one, a), (other, b) in combinations(pieces, 2):
            if one is other:
                continue
            for along_axis, across in ((0, 1), (1, 0)):
                level = {*np.round(a[:, across], 3), *np.round(b[:, across], 3)}
                low = max(a[:, along_axis].min(), b[:, along_axis].min())
                high = min(a[:, along_axis].max(), b[:, along_axis].max())
                assert len(level) > 1 or high - low < 1, (one, other)


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_all_of_it_lies_in_the_picture(name):
    for at in drawn(name):
        for box in at.boxes:
            assert -0.1 <= box.left <= at.width + 0.1 - box.width
            assert -at.up - 0.1 <= box.top <= at.down + 0.1 - box.height
        for each in at.names:
            assert each.left >= -0.1
            assert each.left + width_of(each.text, SMALL) <= at.width + 0.1


def test_a_product_reads_from_left_to_right_and_a_trace_goes_round():
    (chain,) = products(pb.expr("A@B@C@x", A="n m", B="m k", C="k d", x="d").diagram())
    labels = [box.tensor.label for box in sorted(chain.boxes, key=lambda box: box.left)]
    assert labels == ["A", "B", "C", "x"]
    assert all(len(strand.points) == 2 for strand in chain.strands)
    (loop,) = products(pb.expr("tr(A@B@C)", A="n m", B="m k", C="k n").diagram())
    assert sorted(len(strand.points) for strand in loop.strands) == [2, 2, 4]


def test_lines_are_as_wide_as_asked_for():
    e = pb.expr("x.T@A@x + v.T@B@v + x.T@B@v + a.T@A@v", A="n n", B="n n", x="n", v="n", a="n")

    def size(svg):
        box = svg.split('viewBox="0 0 ')[1].split('"')[0].split()
        return tuple(map(float, box))

    narrow, wide = size(e.diagram().svg), size(e.diagram(width=900).svg)
    assert narrow[0] <= 340 < wide[0] <= 900
    assert wide[1] < narrow[1]


def test_a_picture_is_saved_whole_and_shown_in_notebooks(tmp_path):
    diagram = pb.expr("a@x + 1", a="n", x="n").diagram()
    path = diagram.save(tmp_path / "sum.svg")
    assert path.read_text(encoding="utf-8") == diagram.svg == diagram._repr_svg_()
    assert diagram._repr_html_().count("<svg") == len(diagram.lines) == 1
    assert 'role="img"' in diagram.svg
    assert "Tensor diagram of a@x + 1" in diagram.svg
    assert "<title>axis n, summed</title>" in diagram.svg
    with pytest.raises(StorageError, match="there is no folder"):
        diagram.save(tmp_path / "none" / "sum.svg")


def test_names_are_text_and_nothing_else():
    axis = Axis("<i>&'\"")
    product = Contract((Input("<script>x</script>", (axis,)), Input("y", (axis,))), ())
    svg = diagram_of([("<b>", product)], '"><script>').svg
    assert "<script" not in svg
    assert "<b>" not in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize("width", [0, -3, 10, 1.5, "wide", None])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(ConfigError, match="width"):
        pb.expr("x@x", x="n").diagram(width=width)


def test_what_is_too_large_to_look_at_is_refused():
    axis = Axis("n")
    products = (Contract((Input(f"x{k}", (axis,)), Input("y", (axis,))), ()) for k in range(1200))
    with pytest.raises(ConfigError, match="too many to look at"):
        diagram_of([("", Add(tuple(products)))], "a long sum")


def test_an_identity_is_one_line():
    (line,) = products(pb.expr("x", x="n").derivative("x").diagram())
    (left, start), (right, end) = sorted(
        sorted(point[0] for point in strand.points) for strand in line.strands
    )
    assert not line.boxes
    assert left < start == right < end
    assert [each.text for each in line.names] == ["n", "n′"]
