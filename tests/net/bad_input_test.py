"""Bad input is refused before work starts: the thing, what was expected, what came, the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import errors
from pullback.nn import activation

NET = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Tanh(), pb.Linear(3, 2)), loss=pb.CrossEntropy())
SIGNS = pb.Network(pb.Linear(4, 1), loss=pb.LogisticLoss())
BITS = pb.Network(pb.Linear(4, 2), loss=pb.BinaryCrossEntropy())
PARAMS = NET.init(seed=0)
X, Y = np.ones((5, 4)), np.array([0, 1, 1, 0, 1])


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in PARAMS.items() if key != name}


def holding(value: float, shape: tuple[int, ...] = (5, 4)) -> Any:
    array = np.ones(shape)
    array[2, 1] = value
    return array


Call = Callable[[], Any]
CASES: dict[str, tuple[Call, type[errors.PullbackError], list[str]]] = {
    "X too narrow": (
        lambda: NET.predict(PARAMS, np.ones((5, 3))),
        errors.ShapeError,
        ["X has shape (5, 3)", "batch", "features=4"],
    ),
    "one sample": (
        lambda: NET.predict(PARAMS, np.ones(4)),
        errors.ShapeError,
        ["(4,)", "X[None, :]"],
    ),
    "X of whole numbers": (
        lambda: NET.predict(PARAMS, np.ones((5, 4), int)),
        errors.DTypeError,
        ["X has dtype int64", "float32 or float64", "astype"],
    ),
    "X of text": (
        lambda: NET.predict(PARAMS, np.array([["a"] * 4])),
        errors.DTypeError,
        ["X", "float32 or float64"],
    ),
    "X empty": (
        lambda: NET.value_and_grad(PARAMS, np.ones((0, 4)), np.ones(0, int)),
        errors.DataError,
        ["X is empty"],
    ),
    "NaN in X": (
        lambda: NET.value_and_grad(PARAMS, holding(np.nan), Y),
        errors.DataError,
        ["X holds NaN", "[2, 1]"],
    ),
    "infinity in X": (
        lambda: pb.fit(NET, holding(np.inf), Y, batch_size=None),
        errors.DataError,
        ["X holds an infinity", "[2, 1]"],
    ),
    "fewer targets": (
        lambda: NET.value_and_grad(PARAMS, X, Y[:3]),
        errors.ShapeError,
        ["Y has 3 rows", "X has 5", "batch"],
    ),
    "targets too wide": (
        lambda: NET.value_and_grad(PARAMS, X, np.ones((5, 3))),
        errors.ShapeError,
        ["Y has shape (5, 3)", "batch=5", "outputs=2", "class numbers"],
    ),
    "label out of range": (
        lambda: NET.value_and_grad(PARAMS, X, np.array([0, 1, 2, 0, 1])),
        errors.DataError,
        ["Y[2] is 2", "from 0 to 1"],
    ),
    "negative label": (
        lambda: NET.value_and_grad(PARAMS, X, np.array([0, -1, 1, 0, 1])),
        errors.DataError,
        ["Y[1] is -1", "from 0 to 1"],
    ),
    "label not whole": (
        lambda: NET.value_and_grad(PARAMS, X, np.array([0, 0.5, 1, 0, 1])),
        errors.DataError,
        ["not whole"],
    ),
    "probabilities": (
        lambda: NET.value_and_grad(PARAMS, X, np.full((5, 2), 0.4)),
        errors.DataError,
        ["Y[0] sums to 0.8"],
    ),
    "no sign": (
        lambda: SIGNS.value_and_grad(SIGNS.init(0), X, Y),
        errors.DataError,
        ["−1 and +1", "LogisticLoss"],
    ),
    "no probability": (
        lambda: BITS.value_and_grad(BITS.init(0), X, holding(1.5, (5, 2))),
        errors.DataError,
        ["Y[2, 1] is 1.5", "from 0 to 1"],
    ),
    "parameter missing": (
        lambda: NET.predict(without("2.bias"), X),
        errors.UnknownNameError,
        ["lacks '2.bias'"],
    ),
    "parameter misnamed": (
        lambda: NET.predict({**PARAMS, "0.wieght": X}, X),
        errors.UnknownNameError,
        ["'0.wieght'", "did you mean '0.weight'?"],
    ),
    "parameter turned round": (
        lambda: NET.predict({**PARAMS, "0.weight": PARAMS["0.weight"].T}, X),
        errors.ShapeError,
        ["0.weight has shape (4, 3)", "out=3", "in=4"],
    ),
    "widths that do not meet": (
        lambda: pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Linear(5, 2)), pb.CrossEntropy()),
        errors.ShapeError,
        ["Linear(5, 2)", "5 features", "units.0=3"],
    ),
    "residual that changes the width": (
        lambda: pb.Network(pb.Residual(pb.Linear(4, 3)), pb.SquaredError()),
        errors.ShapeError,
        ["Residual", "features=4", "keep the number of features"],
    ),
    "unknown activation": (
        lambda: activation("tahn"),
        errors.UnknownNameError,
        ["unknown activation 'tahn'", "did you mean 'tanh'?"],
    ),
    "activation with an unknown call": (
        lambda: pb.Activation("1.7*tahn(x)"),
        errors.ExpressionError,
        ["tahn", "did you mean 'tanh'?", "^"],
    ),
    "loss as a class": (
        lambda: pb.Network(pb.Linear(4, 3), loss=pb.CrossEntropy),
        errors.ConfigError,
        ["the class CrossEntropy"],
    ),
    "width of nought": (lambda: pb.Linear(4, 0), errors.ConfigError, ["out_features is 0"]),
    "learning rate": (lambda: pb.optim.SGD(0.0), errors.ConfigError, ["learning_rate"]),
    "learning rate NaN": (lambda: pb.optim.SGD(np.nan), errors.ConfigError, ["learning_rate"]),
    "batch larger than the data": (
        lambda: pb.fit(NET, X, Y, batch_size=64),
        errors.ConfigError,
        ["batch_size is 64", "5 samples", "None takes them all"],
    ),
    "expression with an unknown name": (
        lambda: pb.expr("mean(X@v)", X="n d", w="d"),
        errors.ExpressionError,
        ["v", "^"],
    ),
    "X of rows of several lengths": (
        lambda: NET.predict(PARAMS, [[1.0, 2.0], [3.0]]),
        errors.ShapeError,
        ["X is no array", "differ in length"],
    ),
    "X with an axis too many": (
        lambda: NET.predict(PARAMS, X[None]),
        errors.ShapeError,
        ["X has shape (1, 5, 4)", "(batch, features=4)"],
    ),
    "X of half precision": (
        lambda: NET.predict(PARAMS, X.astype(np.float16)),
        errors.DTypeError,
        ["X has dtype float16", "X.astype(np.float32)"],
    ),
    "NaN in Y": (
        lambda: SIGNS.value_and_grad(SIGNS.init(0), X, np.full(5, np.nan)),
        errors.DataError,
        ["Y holds NaN", "[0]"],
    ),
    "labels as names": (
        lambda: NET.value_and_grad(PARAMS, X, list("abcde")),
        errors.DTypeError,
        ["Y has dtype", "np.unique(Y, return_inverse=True)"],
    ),
    "label beyond all numbers": (
        lambda: NET.value_and_grad(PARAMS, X, np.array([1e300, 0, 0, 0, 0])),
        errors.DataError,
        ["not whole"],
    ),
    "params as a list": (
        lambda: NET.predict(list(PARAMS.values()), X),
        errors.DTypeError,
        ["params is a list", "dict of arrays by name"],
    ),
    "parameter of complex numbers": (
        lambda: NET.predict({**PARAMS, "0.bias": np.ones(3) * 1j}, X),
        errors.DTypeError,
        ["0.bias has dtype complex128", "float32 or float64"],
    ),
    "parameter whose name is none": (
        lambda: NET.predict({**PARAMS, 3: X}, X),
        errors.UnknownNameError,
        ["no parameter 3", "0.weight"],
    ),
    "NaN in a parameter": (
        lambda: NET.value_and_grad({**PARAMS, "0.bias": np.array([0, np.nan, 0])}, X, Y),
        errors.NonFiniteError,
        ["0.bias is the first to hold NaN at (1,)"],
    ),
    "seed below nought": (lambda: NET.init(seed=-1), errors.ConfigError, ["seed is -1"]),
    "weights of whole numbers": (
        lambda: NET.init(dtype=int),
        errors.DTypeError,
        ["dtype is <class 'int'>", "np.float32 or np.float64"],
    ),
    "scheme by name": (lambda: NET.init(scheme="he"), errors.ConfigError, ["pb.init.he()"]),
    "slope NaN": (lambda: pb.LeakyReLU(np.nan), errors.ConfigError, ["slope is nan"]),
    "alpha of text": (lambda: pb.ELU("one"), errors.ConfigError, ["alpha is 'one'"]),
    "scale of text": (
        lambda: pb.Residual(pb.Linear(2, 2), scale="x"),
        errors.ConfigError,
        ["scale is 'x'"],
    ),
    "reduction": (
        lambda: pb.MSELoss(reduction="avg"),
        errors.ConfigError,
        ["reduction is 'avg'", "'mean' or 'sum'"],
    ),
    "penalty below nought": (
        lambda: pb.Network(pb.Linear(4, 2), pb.MSELoss(), l2=-1),
        errors.ConfigError,
        ["l2 is -1"],
    ),
    "check of text": (
        lambda: pb.check(NET, PARAMS, [["a"] * 4] * 5, Y),
        errors.DTypeError,
        ["X has dtype"],
    ),
    "expression that runs code": (
        lambda: pb.expr("__import__('os').getcwd()", x="n"),
        errors.ExpressionError,
        ["^"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused_with_the_reason(name: str) -> None:
    call, kind, words = CASES[name]
    with pytest.raises(kind) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_a_loss_that_is_not_finite_names_the_first_equation() -> None:
    params = {**PARAMS, "0.weight": np.ones((3, 4)), "2.weight": np.full((2, 3), 1e308)}
    with np.errstate(all="ignore"), pytest.raises(errors.NonFiniteError) as caught:
        NET.value_and_grad(params, X, Y)
    assert "z.2 is the first to hold" in str(caught.value)


def test_nothing_is_half_written(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError):
        pb.fit(NET, holding(np.nan), Y, batch_size=None, checkpoint=tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []
