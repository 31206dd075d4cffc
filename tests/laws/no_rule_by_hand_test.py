"""No backward rule is written by hand: only ``linearise`` has rules, and only sweeps follow them.

The package is read as syntax. A rule is a function registered with ``linearise``, and a sweep calls
``linearise``. A backward pass by hand would need the slope of a scalar function, which is
``partial``: who takes slopes says here what for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pullback

PACKAGE = Path(pullback.__file__).parent

RULES = {"calculus/linearise.py"}
SWEEPS = {
    "calculus/sweep.py": "reverse and forward mode",
    "calculus/equation.py": "the axes that an equation leaves alone",
    "plan/jacobian/local.py": "the factors of the product, not multiplied",
    "plan/jacobian/terms.py": "along which axes samples stay apart",
    "derive/steps/second.py": "forward mode through named equations",
}
SLOPES = {
    "calculus/linearise.py": "the rule of a scalar function",
    "ir/forms.py": "the weights of a sum, from its formula",
    "closed/notation.py": "f′ as text",
    "plan/elimination/tape.py": "the local derivatives of single numbers, whose order is sought",
    "closed/power/recurrence.py": "f′ at a fixed point, for the matrix of a recurrence",
    "closed/network/items.py": "f′ where it is one number for all z",
    "moments/law/activation.py": "E f′² and its like, integrals over one number",
    "moments/law/gate.py": "E (∂f/∂x)² of a function of several, integrals over numbers",
    "moments/answer/phase.py": "f′ at 0",
    "moments/answer/figures.py": "f′ at sampled z, for a picture",
    "derive/expectation/average.py": "Stein's lemma: E[G f(u)] needs E f′(u)",
    "derive/expectation/writing.py": "which function is the f′ of which, to print it so",
    "train/divergence.py": "how flat a unit is, to call it saturated",
    "report/drawing/network_svg.py": "f′ at one z, printed",
    "derive/neurons/table.py": "f′ at one z, printed",
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(PACKAGE).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def called(tree: ast.Module) -> set[str]:
    """What a module calls, by its last name."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    methods = {each.attr for each in functions if isinstance(each, ast.Attribute)}
    return methods | {each.id for each in functions if isinstance(each, ast.Name)}


def registers(tree: ast.Module) -> bool:
    """Does a module add a rule to ``linearise``?"""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "register"
        and isinstance(node.value, ast.Name)
        and node.value.id == "linearise"
        for node in ast.walk(tree)
    )


def takes_slopes(tree: ast.Module) -> bool:
    """Does it ask a scalar function for its derivative?"""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(
        isinstance(each, ast.Attribute)
        and each.attr in ("partial", "partial_from_output")
        and not (isinstance(each.value, ast.Name) and each.value.id in ("self", "functools"))
        for each in functions
    )


def test_only_linearise_has_rules():
    assert {name for name, tree in sources() if registers(tree)} == RULES


def test_only_sweeps_follow_the_rules():
    assert {name for name, tree in sources() if "linearise" in called(tree)} == set(SWEEPS)


def test_slopes_are_taken_where_it_is_known_what_for():
    found = {name for name, tree in sources() if takes_slopes(tree)}
    rest = {name for name in found if not name.startswith("ir/scalar/")} ^ set(SLOPES)
    assert not rest, f"{sorted(rest)} take slopes, or do so no more; say here what for"


def test_a_rule_by_hand_is_found():
    by_hand = ast.parse(
        "@linearise.register\ndef _(node): ...\n"
        "def jvp(node): return linearise(node)\n"
        "def backward(z, delta): return f.partial(0)(z) * delta\n"
    )
    assert registers(by_hand)
    assert "linearise" in called(by_hand)
    assert takes_slopes(by_hand)
