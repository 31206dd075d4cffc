"""Every loss with every option is torch's: value and gradient, at 1e-9, over tokens as well."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from zoo import close

import pullback as pb
from pullback.errors import (
    ConfigError,
    DataError,
    ExpressionError,
    NotApplicableError,
    ShapeError,
)
from pullback.nn.loss import Loss

REDUCTIONS = ("mean", "sum")
SHAPES = ((5, 3), (2, 4, 3), (2, 2, 3, 3))  # samples, tokens, pixels; the last axis is the outputs
WEIGHT = (0.5, 2.0, 0.0)
AXES = {2: "outputs", 3: "tokens=4 outputs", 4: "height=2 width=3 outputs"}


@dataclass(frozen=True)
class Pair:
    """A loss of ours and torch's of that name, and what its outputs and targets are."""

    ours: Loss
    theirs: nn.Module
    outputs: str = "values"
    targets: str = "values"

    def __repr__(self) -> str:
        return repr(self.ours)


def pairs() -> list[Pair]:
    found: list[Pair] = []
    for r in REDUCTIONS:
        found += [
            Pair(pb.MSELoss(r), nn.MSELoss(reduction=r)),
            Pair(pb.L1Loss(r), nn.L1Loss(reduction=r)),
            Pair(pb.Loss("abs(z - y)", reduction=r), nn.L1Loss(reduction=r)),
            Pair(pb.BCELoss(reduction=r), nn.BCEWithLogitsLoss(reduction=r), targets="shares"),
            Pair(
                pb.BCELoss(from_logits=False, reduction=r, weight=WEIGHT),
                nn.BCELoss(reduction=r, weight=torch.tensor(WEIGHT)), "shares", "shares",
            ),
            Pair(
                pb.BCELoss(reduction=r, pos_weight=3.0),
                nn.BCEWithLogitsLoss(reduction=r, pos_weight=torch.tensor(3.0)), targets="shares",
            ),
            Pair(
                pb.BCELoss(reduction=r, pos_weight=WEIGHT, weight=0.25),
                nn.BCEWithLogitsLoss(
                    reduction=r, pos_weight=torch.tensor(WEIGHT), weight=torch.tensor(0.25)
                ), targets="shares",
            ),
        ]  # fmt: skip
        for beta in (0.0, 0.3, 1.0):
            theirs = nn.SmoothL1Loss(reduction=r, beta=beta)
            found.append(Pair(pb.SmoothL1Loss(r, beta=beta), theirs))
        for delta in (0.3, 1.0, 2.0):
            theirs = nn.HuberLoss(reduction=r, delta=delta)
            found.append(Pair(pb.HuberLoss(r, delta=delta), theirs))
        for log, full in product((True, False), (True, False)):
            options = dict(log_input=log, full=full, eps=1e-3)
            outputs = "values" if log else "shares"
            theirs = nn.PoissonNLLLoss(reduction=r, **options)
            found.append(Pair(pb.PoissonNLLLoss(r, **options), theirs, outputs, "counts"))
        for weight, ignored, smooth in product((None, WEIGHT), (None, -100, 1), (0.0, 0.2)):
            given = None if weight is None else torch.tensor(weight)
            index = -100 if ignored is None else ignored
            theirs = nn.CrossEntropyLoss(
                given, ignore_index=index, label_smoothing=smooth, reduction=r
            )
            ours = pb.CrossEntropy(
                r, weight=weight, ignore_index=ignored, label_smoothing=smooth
            )  # fmt: skip
            targets = "some classes"
            found.append(Pair(ours, theirs, "values", targets))
            if not smooth:
                theirs = nn.NLLLoss(given, ignore_index=index, reduction=r)
                ours = pb.NLLLoss(r, weight=weight, ignore_index=ignored)
                found.append(Pair(ours, theirs, "values", targets))
    for r, log in product((*REDUCTIONS, "batchmean"), (False, True)):
        theirs = nn.KLDivLoss(reduction=r, log_target=log)
        targets = "values" if log else "rows"
        found.append(Pair(pb.KLDivLoss(r, log_target=log), theirs, "values", targets))
    return found


def drawn(kind: str, shape: tuple[int, ...], loss: Any, rng: np.random.Generator) -> Any:
    if kind == "shares":
        return rng.uniform(0.05, 0.95, shape)
    if kind == "counts":
        return rng.integers(0, 5, shape).astype(float)
    if kind == "rows":
        rows = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
        rows[0] = np.eye(shape[-1])[0]  # 0 log 0
        return rows
    if kind in ("classes", "some classes"):
        classes = rng.integers(0, shape[-1], shape[:-1])
        classes.flat[0] = 0  # it has a weight, and counts
        if kind == "some classes":
            # without a number of its own a loss leaves out torch's
            classes.flat[1:3] = -100 if loss.ignore_index is None else loss.ignore_index
        return classes
    return rng.normal(size=shape)


def by_torch(pair: Pair, z: Any, y: Any) -> tuple[float, Any]:
    z, y = torch.tensor(z, requires_grad=True), torch.as_tensor(y)
    classes = y.ndim == z.ndim - 1
    value = pair.theirs.double()(z.movedim(-1, 1).contiguous() if classes else z, y)
    value.backward()
    return value.item(), z.grad.numpy()


def by_us(loss: Loss, z: Any, y: Any) -> tuple[float, Any]:
    """Value and δ of a network whose output is z, by emitted code."""
    n = z.shape[-1]
    net = pb.Network(pb.Sequential(pb.Linear(n, n)), loss=loss, x=AXES[z.ndim])
    params = {"0.weight": np.eye(n), "0.bias": np.zeros(n)}
    trace = net.trace(params, z, y)
    value, grads = net.value_and_grad(params, z, y)
    delta = trace.delta["0"]
    close(grads["0.bias"], delta.reshape(-1, n).sum(0), tight=1e-9)
    return value, delta


@pytest.mark.filterwarnings("ignore:reduction:UserWarning")  # of torch's KLDivLoss
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("pair", pairs(), ids=repr)
def test_value_and_gradient_are_torchs(pair, shape):
    rng = np.random.default_rng(0)
    z, y = (drawn(kind, shape, pair.ours, rng) for kind in (pair.outputs, pair.targets))
    (value, delta), (expected, slope) = by_us(pair.ours, z, y), by_torch(pair, z, y)
    assert value == pytest.approx(expected, rel=1e-9)
    close(delta, slope, tight=1e-9)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 6)], ids=str)
def test_normal_values_with_a_variance_each(shape, reduction, full):
    """The second half of the last axis are the variances."""
    rng = np.random.default_rng(0)
    z, half = rng.uniform(0.1, 2, shape), shape[-1] // 2
    y = rng.normal(size=(*shape[:-1], half))
    held = torch.tensor(z, requires_grad=True)
    theirs = nn.GaussianNLLLoss(reduction=reduction, full=full)
    value = theirs(held[..., :half], torch.tensor(y), held[..., half:])
    value.backward()
    found, delta = by_us(pb.GaussianNLLLoss(reduction, full=full), z, y)
    assert found == pytest.approx(value.item(), rel=1e-9)
    close(delta, held.grad.numpy(), tight=1e-9)


KINKS = [
    (pb.L1Loss(), nn.L1Loss()),
    (pb.Loss("abs(z - y)"), nn.L1Loss()),
    (pb.SmoothL1Loss(beta=0.0), nn.SmoothL1Loss(beta=0.0)),
    (pb.SmoothL1Loss(beta=0.5), nn.SmoothL1Loss(beta=0.5)),
    (pb.HuberLoss(delta=0.5), nn.HuberLoss(delta=0.5)),
]


@pytest.mark.parametrize("pair", [Pair(*each) for each in KINKS], ids=repr)
def test_slopes_where_the_pieces_meet(pair):
    y = np.array([[0.0, 1.0, -2.0], [3.0, 0.25, 0.0]])
    z = y + np.array([[0.0, 0.5, -0.5], [0.0, 0.5, 0.0]])
    (value, delta), (expected, slope) = by_us(pair.ours, z, y), by_torch(pair, z, y)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(delta, slope, rtol=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_huge_logits(weight, smooth):
    z = np.array([[1e4, -1e4, 0.0], [-800.0, 800.0, 799.0]])
    given = None if weight is None else torch.tensor(weight)
    ours = pb.CrossEntropy(weight=weight, label_smoothing=smooth)
    pair = Pair(ours, nn.CrossEntropyLoss(given, label_smoothing=smooth))
    y = np.array([1, 0])
    (value, delta), (expected, slope) = by_us(ours, z, y), by_torch(pair, z, y)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(delta, slope, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ["CrossEntropy", "NLLLoss"])
def test_all_are_left_out_but_one_or_all(name):
    rng = np.random.default_rng(0)
    z, ours = rng.normal(size=(4, 3)), getattr(pb, name)(ignore_index=-1)
    theirs = (nn.CrossEntropyLoss if name == "CrossEntropy" else nn.NLLLoss)(ignore_index=-1)
    y = np.array([-1, -1, 2, -1])
    (value, delta), (expected, slope) = by_us(ours, z, y), by_torch(Pair(ours, theirs), z, y)
    assert value == pytest.approx(expected, rel=1e-12)
    close(delta, slope)
    value, delta = by_us(ours, z, np.full(4, -1))  # torch: NaN
    assert value == 0
    assert not delta.any()


def test_rows_are_as_good_as_numbers_and_zeros_are_left_out():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(4, 3)), np.array([0, -1, 2, 1])
    loss = pb.CrossEntropy(weight=WEIGHT, ignore_index=-1, label_smoothing=0.1)
    rows = np.eye(3)[y] * (y >= 0)[:, None]
    (value, delta), (expected, slope) = by_us(loss, z, rows), by_us(loss, z, y)
    assert value == expected
    np.testing.assert_array_equal(delta, slope)


def test_sample_weights_multiply_those_of_the_classes():
    rng = np.random.default_rng(0)
    z, y, s = rng.normal(size=(4, 3)), np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 0.5, 3.0])
    loss = pb.CrossEntropy(weight=WEIGHT)
    net = pb.Network(pb.Sequential(pb.Linear(3, 3)), loss=loss).weighted
    params = {"0.weight": np.eye(3), "0.bias": np.zeros(3)}
    batch = {"x": z, "target": np.eye(3)[y], "sample_weight": s}
    each = nn.CrossEntropyLoss(reduction="none")(torch.tensor(z), torch.tensor(y)).numpy()
    share = s * np.array(WEIGHT)[y]
    found = net.training_program(params, batch)["loss"]
    assert float(found) == pytest.approx((each * share).sum() / share.sum(), rel=1e-12)


def test_to_jax_leaves_targets_out():
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(4, 3)), np.array([0, 1, 1, 2])
    net = pb.Network(pb.Sequential(pb.Linear(3, 3)), loss=pb.CrossEntropy(ignore_index=1))
    params = net.init(seed=0)
    with jax.enable_x64(True):
        value, _ = pb.to_jax(net).value_and_grad(params, z, y)
    assert float(value) == pytest.approx(net.value_and_grad(params, z, y)[0], rel=1e-12)


def test_training_with_targets_left_out_has_no_accuracy():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 4)), np.array([0, 1, -100] * 4)
    for engine, loss in product(
        ("numpy", "auto"), (pb.CrossEntropy(), pb.CrossEntropy(ignore_index=-100))
    ):
        net = pb.Network(pb.Linear(4, 2), loss=loss)
        result = pb.fit(net, X, y, epochs=3, batch_size=4, engine=engine, progress=False)
        assert "accuracy" not in result.history
        assert result.history["loss"][-1] < result.history["loss"][0]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: pb.CrossEntropy(weight=[1, -1]), ConfigError, "expected numbers from 0"),
        (lambda: pb.CrossEntropy(weight=2.0), ConfigError, "one number for each class"),
        (lambda: pb.CrossEntropy(weight="ab"), ConfigError, "expected numbers from 0"),
        (lambda: pb.CrossEntropy(ignore_index=0.5), ConfigError, "expected a class number"),
        (lambda: pb.CrossEntropy(label_smoothing=2), ConfigError, "expected 0 to 1"),
        (lambda: pb.CrossEntropy("batchmean"), ConfigError, "expected 'mean' or 'sum'"),
        (lambda: pb.KLDivLoss("none"), ConfigError, "expected 'mean' or 'sum'"),
        (lambda: pb.SmoothL1Loss(beta=-1), ConfigError, "from 0"),
        (lambda: pb.HuberLoss(delta=0), ConfigError, "above 0"),
        (lambda: pb.PoissonNLLLoss(eps=0), ConfigError, "above 0"),
        (lambda: pb.BCELoss(pos_weight=[[1]]), ConfigError, "expected numbers from 0"),
        (lambda: pb.Loss("abs(z - t)"), ExpressionError, "expected a function of z and y"),
        (lambda: pb.Loss("y**2"), ExpressionError, "a function of z"),
        (lambda: pb.Loss("sum(z - y)"), ExpressionError, "no axes"),
        (lambda: pb.Loss("__import__('os')"), ExpressionError, ""),
        (lambda: pb.Loss(3), ConfigError, "a text in z and y"),
        (lambda: pb.Loss("z - y", "batch"), ConfigError, "expected 'mean' or 'sum'"),
    ],
)
def test_options_that_make_no_sense(make, error, says):
    with pytest.raises(error) as raised:
        make()
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (pb.CrossEntropy(weight=[1, 2]), "weight has 2 numbers"),
        (pb.BinaryCrossEntropy(pos_weight=[1, 2]), "pos_weight has 2 numbers"),
        (pb.GaussianNLLLoss(), "an even number of outputs"),
    ],
)
def test_a_loss_that_does_not_fit_the_output(loss, says):
    with pytest.raises(ShapeError, match=says):
        pb.Network(pb.Linear(4, 3), loss=loss)


def test_targets_that_do_not_fit():
    net = pb.Network(pb.Linear(4, 3), loss=pb.CrossEntropy(), x="tokens=2 features=4")
    params, X = net.init(0), np.zeros((5, 2, 4))
    with pytest.raises(DataError, match="ignore_index=-1 leaves such targets out"):
        net.value_and_grad(params, X, np.full((5, 2), -1))
    with pytest.raises(ShapeError, match="last axis here, not axis 1 as in torch"):
        net.value_and_grad(params, X, np.zeros((5, 3), int))


def test_what_is_no_mean_over_samples_says_so():
    net = pb.Network(pb.Sequential(pb.Linear(4, 3)), loss=pb.CrossEntropy(weight=WEIGHT))
    params, X, Y = net.init(0), np.ones((3, 4)), np.array([0, 1, 1])
    with pytest.raises(NotApplicableError, match="divides by weights"):
        pb.derive(net, convention="ng")
    assert "divided by the weights of their targets" in " ".join(pb.derive(net).text().split())
    with pytest.raises(ConfigError, match="reduction='sum'"):
        pb.laplace(net, params, X, Y)
    l1 = pb.Network(pb.Linear(4, 1), loss=pb.L1Loss())
    with pytest.raises(ConfigError, match="squared loss"):
        pb.least_squares(l1, X, np.ones((3, 1)), start=l1.init(0))


def test_the_text_of_a_loss_makes_it_again():
    for pair in pairs():
        again = eval(repr(pair.ours), vars(pb))  # noqa: S307  our own text
        assert again == pair.ours
