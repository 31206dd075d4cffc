"""The page of formulas says what the library says, and answers anything with a sentence."""

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import pytest

import pullback as pb
from pullback.errors import PullbackError
from pullback.explore import app
from pullback.explore.child import WorkerError
from pullback.explore.formula import LONGEST, AskedFormula, formula

CLASSES = {"X": "n d", "W": "d k", "Y": "n k"}
ASKED = {
    "0.5*x'*A*x": ({}, "x", "∂L/∂x = ½ (A + Aᵀ) x"),
    "tr(A*X'*B*X*C)": ({}, "X", "∂L/∂X = Bᵀ X Aᵀ Cᵀ + B X C A"),
    "log(det(X))": ({"X": "n n"}, "", "∂L/∂X = X⁻ᵀ"),
    "sum((X@w - y)**2)/2": ({"X": "n d", "w": "d", "y": "n"}, "w", "∂L/∂w = Xᵀ (X w − y)"),
    "A@exp(x)": ({"A": "m n", "x": "n"}, "x", "∂f/∂x = A diag(exp(x))"),
    "-sum(Y*log(softmax(X@W, axis='k')))": (CLASSES, "W",
     "∂L/∂W = Xᵀ (diag(Y 𝟏) softmax(X W) − Y)"),
}  # fmt: skip


@pytest.mark.parametrize("text", ASKED)
def test_the_answer_is_that_of_the_library(text):
    axes, wrt, expected = ASKED[text]
    found = formula({"text": text, "axes": axes, "wrt": wrt})
    assert found["text"] == expected
    assert found["proven"]
    assert found["proof"].startswith("Checked at 3 random points")
    assert "<math" in found["result"]
    ElementTree.fromstring(found["diagram"])
    declared = {each["name"]: each["axes"] for each in found["variables"]}
    d = pb.derive(pb.expr(text, dialect=found["dialect"], **declared), wrt=found["wrt"])
    assert d.latex() == found["latex"]
    for target in ("numpy", "jax"):
        asked = {"text": text, "axes": declared, "wrt": found["wrt"], "code": target}
        assert formula(asked)["source"] == d.code(target)
    json.dumps(found, allow_nan=False)


def test_second_derivatives_and_structured_variables():
    found = formula({"text": "logdet(X)", "axes": {"X": "n n sym"}, "symmetric": "part"})
    assert found["text"] == "∂L/∂X = X⁻¹"
    assert found["symmetric"]
    assert formula({"text": "logdet(X)", "axes": {"X": "n n sym"}})["text"] != found["text"]
    twice = formula({"text": "sum(exp(x))", "order": 2})
    assert twice["text"].splitlines() == ["∂L/∂x = exp(x)", "∂²L/∂x∂xᵀ = diag(exp(x))"]
    assert not formula({"text": "exp(x)"})["scalar"]


def test_what_only_matlab_gives_a_meaning_is_read_so():
    found = formula({"text": "A*exp(x)", "wrt": "x", "layout": "denominator"})
    assert found["dialect"] == "matlab"
    assert found["text"] == "∂f/∂x = diag(exp(x)) Aᵀ"
    assert found["notes"][0].startswith("Read as MATLAB writes it")
    assert found["notes"][1].startswith("The layout is that of the formulas")
    chosen = formula({"text": "A*exp(x)", "wrt": "x", "dialect": "numpy"})
    assert "either axis" in chosen["fault"]["message"]
    assert "unknown function" in formula({"text": "A*foo(x)"})["fault"]["message"]


def test_what_is_assumed_is_said_and_can_be_declared():
    found = formula({"text": "a*sum(A@exp(x))"})
    assert [(v["name"], v["axes"], v["assumed"]) for v in found["variables"]] == [
        ("a", "", True), ("A", "n n", True), ("x", "n", True)
    ]  # fmt: skip
    assert "a (a number), A (n n), x (n)" in found["notes"][0]
    told = formula({"text": "sum(A@exp(x))", "axes": {"A": "m n", "x": "n", "gone": "n"}})
    assert not told["notes"]
    assert not any(v["assumed"] for v in told["variables"])


def test_an_error_stands_under_its_place():
    fault = formula({"text": "x'*A*x + b*("})["fault"]
    text, carets = fault["place"].splitlines()
    assert text == "x'*A*x + b*("
    assert carets.index("^") == len(text) - (1 if len(carets) == len(text) else 0)
    both = formula({"text": "x'*A@x"})["fault"]
    assert "write all of it in one dialect" in both["message"]
    assert both["place"].splitlines()[1].count("^") == 2
    again = formula({"text": "x@y", "axes": {"x": "n", "y": "m"}})["fault"]
    assert "'n' does not meet 'm'" in again["message"]


@pytest.mark.parametrize(
    "asked",
    [
        None, 5, [], {"tex": 1}, {"text": 3}, {"text": None}, {"text": "x", "axes": {"x": 5}},
        {"text": "x", "axes": 7}, {"text": "x", "axes": {f"x{k}": "n" for k in range(99)}},
        {"text": "x", "axes": {"x": "n" * 5000}}, {"text": "x", "order": 3}, {"text": "x" * 5000},
        {"text": "x", "order": True}, {"text": "x", "order": "1"}, {"text": "x", "dialect": "r"},
        {"text": "x", "symmetric": "both"}, {"text": "x", "width": 1e400}, {"text": "x", "wrt": 1},
        {"text": "x", "code": "fortran"}, {"text": ""}, {"text": "   "}, {"text": "3"},
        {"text": "__import__('os').system('ls')"}, {"text": "x.__class__"}, {"text": "\0"},
        {"text": "<script>alert(1)</script>"}, {"text": "x\ud800"}, {"text": "(" * 1500},
        {"text": "-" * 1900 + "x"}, {"text": "x**9**9**9"}, {"text": "lambda: x"},
        {"text": "inv(X)", "axes": {"X": "n m"}}, {"text": "x", "axes": {"x": "1"}},
    ],
    ids=lambda asked: repr(asked)[:40],
)  # fmt: skip
def test_nonsense_is_answered_with_a_sentence(asked):
    found = formula(asked)
    assert set(found) == {"fault"}
    assert len(found["fault"]["message"]) > 10
    json.dumps(found)


def test_markup_in_a_text_stays_text():
    found = formula({"text": "sum(x*log(x))", "axes": {"x": "n"}})
    assert "<script" not in json.dumps(found)
    hostile = formula({"text": "x<img src=x onerror=alert(1)>y", "axes": {}})
    assert "fault" in hostile  # and the page shows it as text


def test_a_page_reads_no_more_than_it_says():
    with pytest.raises(PullbackError, match="a page reads 2,000"):
        AskedFormula("x" * (LONGEST + 1))


def test_a_question_that_is_void_ends_its_worker(monkeypatch):
    monkeypatch.setattr(app, "LOOK", 0.01)
    ended = []

    class Slow:
        async def ask(self, message, gone, within):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append((message, within))
                raise

    class Gone:
        async def is_disconnected(self):
            return True

    page = app.App("token", 1)
    page.pool = Slow()
    # in a thread of its own: a browser of another test may have left a loop running in this one
    with ThreadPoolExecutor(1) as apart, pytest.raises(WorkerError, match="nobody waits"):
        apart.submit(asyncio.run, page._typed({"view": "formula"}, Gone())).result()
    assert ended == [({"view": "formula"}, app.PATIENCE)]
