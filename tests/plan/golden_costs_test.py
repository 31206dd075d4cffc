"""What plans cost, and how they bracket, for networks of the zoo: the same numbers as ever."""

import pytest
from zoo import named

import pullback as pb

CONSUMERS = ("dense", "gram", "solve", "diagonal")
GOLDEN = {  # by the input, by all parameters, and the bracketing of J Jᵀ by the input
    "Tanh()": ((450, 894, 710, 510), (1125, 2700, 3517, 885), "(F3 F2) [F1 F1ᵀ] (F3 F2)ᵀ"),
    "nothing square": (
        (473, 406, 704, 550),
        (1001, 3388, 4192, 1265),
        "(((F5 F4) F3) F2) [F1 F1ᵀ] (((F5 F4) F3) F2)ᵀ",
    ),
    "deep linear": ((64, 76, 142, 73), (930, 2850, 3642, 770), "F3 [(F2 F1) (F2 F1)ᵀ] F3ᵀ"),
    "residual, nested": ((240, 360, 500, 300), (1485, 3525, 4362, 1265), "(F2 F1) (F2 F1)ᵀ"),
    "residuals in a row": (
        (600, 720, 860, 660),
        (4125, 8850, 10167, 3425),
        "(((F4 F3) F2) F1) (((F4 F3) F2) F1)ᵀ",
    ),
    "no bias": ((450, 894, 710, 510), (990, 1590, 2362, 705), "(F3 F2) [F1 F1ᵀ] (F3 F2)ᵀ"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_costs_and_brackets(name):
    case = named(name)
    by_input, by_parameters, brackets = GOLDEN[name]
    X, _ = case.data()
    J = pb.jacobian(case.net, case.params(), X)
    P = pb.jacobian(case.net, case.params(), X, wrt="params")
    assert tuple(J.plan(each).cost for each in CONSUMERS) == by_input
    assert tuple(P.plan(each).cost for each in CONSUMERS) == by_parameters
    assert J.plan("gram").brackets == brackets
    chosen = ["written out", "structured", "small side", "structured"]
    assert [P.plan(each).chosen for each in CONSUMERS] == chosen
