"""An optimiser's equations are the published update: torch's and others', step for step."""

import copy

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.errors import ConfigError
from pullback.ir.evaluate import evaluate
from pullback.train.optim import Updater, equations

O = pb.optim
T = torch.optim
SIZE, STEPS = 7, 12
EPSILON = 1e-8


def clip_norm(weight):
    torch.nn.utils.clip_grad_norm_([weight], 0.7)


def clip_value(weight):
    torch.nn.utils.clip_grad_value_([weight], 0.3)


def untouched(weight):
    pass


PAIRS = [
    (O.SGD(0.1), lambda w: T.SGD(w, 0.1), untouched),
    (O.SGD(0.1, weight_decay=0.2), lambda w: T.SGD(w, 0.1, weight_decay=0.2), untouched),
    (O.Momentum(0.1), lambda w: T.SGD(w, 0.1, momentum=0.9), untouched),
    (
        O.Nesterov(0.1, 0.8, weight_decay=0.2),
        lambda w: T.SGD(w, 0.1, momentum=0.8, nesterov=True, weight_decay=0.2),
        untouched,
    ),
    (O.Adagrad(0.1), lambda w: T.Adagrad(w, 0.1), untouched),
    (
        O.Adagrad(0.1, rate_decay=0.3, weight_decay=0.2),
        lambda w: T.Adagrad(w, 0.1, lr_decay=0.3, weight_decay=0.2),
        untouched,
    ),
    (O.RMSProp(0.1), lambda w: T.RMSprop(w, 0.1), untouched),
    (
        O.RMSProp(0.1, keep=0.8, momentum=0.7, centered=True, weight_decay=0.2),
        lambda w: T.RMSprop(w, 0.1, alpha=0.8, momentum=0.7, centered=True, weight_decay=0.2),
        untouched,
    ),
    (O.Adam(0.1), lambda w: T.Adam(w, 0.1), untouched),
    (
        O.Adam(0.1, 0.8, 0.95, 1e-3, weight_decay=0.2),
        lambda w: T.Adam(w, 0.1, (0.8, 0.95), 1e-3, weight_decay=0.2),
        untouched,
    ),
    (O.AdamW(0.1), lambda w: T.AdamW(w, 0.1), untouched),
    (O.AdamW(0.1, weight_decay=0.3), lambda w: T.AdamW(w, 0.1, weight_decay=0.3), untouched),
    (O.SGD(0.1, momentum=0.9, clip_norm=0.7), lambda w: T.SGD(w, 0.1, momentum=0.9), clip_norm),
    (O.Adam(0.1, clip_value=0.3), lambda w: T.Adam(w, 0.1), clip_value),
    (
        O.AdamW(O.Cosine(0.1, steps=8), clip_norm=0.7),
        lambda w: T.AdamW(w, 0.1),
        clip_norm,
    ),
]


def name(case):
    return repr(case) if isinstance(case, O.Optimizer) else ""


@pytest.mark.parametrize(("ours", "theirs", "clip"), PAIRS, ids=name)
def test_equal_to_torch_step_for_step(ours, theirs, clip):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=SIZE), rng.normal(size=(STEPS, SIZE))
    gradients[::3] *= 0.1  # some need no clipping
    weight, updater = start.copy(), Updater(ours, SIZE, np.float64)
    peer = torch.tensor(start, requires_grad=True)
    optimizer = theirs([peer])
    schedule = None
    if isinstance(ours.learning_rate, O.Cosine):
        schedule = T.lr_scheduler.CosineAnnealingLR(optimizer, ours.learning_rate.steps)
    for gradient in gradients[: 8 if schedule else STEPS]:
        updater.step(weight, gradient.copy())
        peer.grad = torch.tensor(gradient)
        clip(peer)
        optimizer.step()
        if schedule:
            schedule.step()
        np.testing.assert_allclose(weight, peer.detach().numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", [case[0] for case in PAIRS], ids=name)
def test_emitted_update_equals_the_evaluated_equations(optimizer):
    rng = np.random.default_rng(1)
    weight, gradient = rng.normal(size=SIZE), rng.normal(size=SIZE)
    updater = Updater(optimizer, SIZE, np.float64)
    updater.done = 4
    for slot in updater.slots.values():
        slot[:] = rng.uniform(1, 2, size=SIZE)
    values = {
        "weight": weight.copy(),
        "gradient": gradient,
        "rate": np.float64(0.3),
        "step": np.float64(5),
        **copy.deepcopy(updater.slots),
    }
    expected = {key: evaluate(node, values) for key, node in equations(optimizer).items()}
    updater.step(weight, gradient, rate=0.3)
    for key, value in {"weight": weight, **updater.slots}.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-13, err_msg=key)


def test_half_the_precision_stays_half_the_precision():
    weight = np.ones(SIZE, np.float32)
    updater = Updater(O.AdamW(0.1, clip_norm=1.0), SIZE, np.float32)
    updater.step(weight, np.full(SIZE, 0.5, np.float32))
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, (1 - 0.1 * 0.01) - 0.1, rtol=1e-5)


def test_norm_and_value_are_clipped_where_they_exceed_only():
    small = np.array([0.1, -0.2])
    for gradient in (small, 100 * small):
        weight = np.zeros(2)
        Updater(O.SGD(1.0, clip_norm=0.5), 2, np.float64).step(weight, gradient)
        np.testing.assert_allclose(np.linalg.norm(weight), min(0.5, np.linalg.norm(gradient)))
        weight = np.zeros(2)
        Updater(O.SGD(1.0, clip_value=0.15), 2, np.float64).step(weight, gradient)
        np.testing.assert_array_equal(weight, -np.clip(gradient, -0.15, 0.15))


# onnx 1.16.2 (Apache-2.0), data/node/test_adagrad, test_adam, test_momentum and their _multiple
# and nesterov variants; T = 0, where Adam has no bias correction. Written as float32.
X, G, V, H = [1.2, 2.8], [-0.94, -2.5], [1.7, 3.6], [0.1, 0.1]
ONNX = [
    (
        O.Adagrad(0.1, rate_decay=0.1, weight_decay=0.001, epsilon=1e-5),
        {"weight": [1.0, 2.0], "gradient": [-1.0, -3.0], "squares": [4.0, 1.0]},
        {"weight": [1.0446853637695312, 2.0948617458343506], "squares": [4.998001, 9.9880037]},
    ),
    (
        O.Adam(0.1, 0.95, 0.1, 1e-7, weight_decay=0.001, bias_correction=False),
        {"weight": X, "gradient": G, "mean": V, "squares": H},
        {
            "weight": [1.025036334991455, 2.6610326766967773],
            "mean": [1.568060040473938, 3.295139789581299],
            "squares": [0.8032107949256897, 5.622406959533691],
        },
    ),
    (
        # its node leaves epsilon to the default, but its numbers were made with 0.01
        O.Adam(0.1, 0.95, 0.85, 0.01, weight_decay=0.001, bias_correction=False),
        {
            "weight": [1.0, 2.0],
            "gradient": [-1.0, -3.0],
            "mean": [4.0, 1.0],
            "squares": [1.0, 10.0],
        },
        {
            "weight": [0.628652811050415, 1.9745852947235107],
            "mean": [3.7500500679016113, 0.8000999689102173],
            "squares": [0.9997001886367798, 9.848200798034668],
        },
    ),
    (
        O.Momentum(0.1, 0.95, weight_decay=0.001),
        {"weight": X, "gradient": G, "velocity": V},
        {
            "weight": [1.1323800086975098, 2.7077200412750244],
            "velocity": [0.6762000322341919, 0.922799825668335],
        },
    ),
    (
        O.Momentum(0.1, 0.95, weight_decay=0.001),
        {"weight": [1.0, 2.0], "gradient": [-1.0, -3.0], "velocity": [4.0, 1.0]},
        {
            "weight": [0.7199000120162964, 2.2047998905181885],
            "velocity": [2.800999879837036, -2.047999858856201],
        },
    ),
    (
        O.Nesterov(0.1, 0.95, weight_decay=0.01),
        {"weight": X, "gradient": G, "velocity": V},
        {
            "weight": [1.2275350093841553, 2.9571399688720703],
            "velocity": [0.687000036239624, 0.9479999542236328],
        },
    ),
]


@pytest.mark.parametrize(("optimizer", "given", "expected"), ONNX)
def test_equal_to_onnx(optimizer, given, expected):
    check_update(optimizer, given, expected, step=1, tolerance=3e-7)


# cs231n (MIT, Andrej Karpathy), assignment 2 of 2020, FullyConnectedNets.ipynb: 20 numbers each
WEIGHT, GRADIENT = np.linspace(-0.4, 0.6, 20), np.linspace(-0.6, 0.4, 20)
# fmt: off
SGD_MOMENTUM = [
    0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789, 0.47454737, 0.54133684, 0.60812632,
    0.67491579, 0.74170526, 0.80849474, 0.87528421, 0.94207368, 1.00886316, 1.07565263, 1.14244211,
    1.20923158, 1.27602105, 1.34281053, 1.4096,
]
RMSPROP = [
    -0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247, -0.132737, -0.08078555,
    -0.02881884, 0.02316247, 0.07515774, 0.12716641, 0.17918792, 0.23122175, 0.28326742, 0.33532447,
    0.38739248, 0.43947102, 0.49155973, 0.54365823, 0.59576619,
]
ADAM = [
    -0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977, -0.1380274, -0.08544591,
    -0.03286534, 0.01971428, 0.0722929, 0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969,
    0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459,
]
# fmt: on


@pytest.mark.parametrize(
    ("optimizer", "slots", "step", "expected"),
    [
        # its velocity is the step itself: ours times −rate
        (O.Momentum(1e-3), {"velocity": np.linspace(0.6, 0.9, 20) / -1e-3}, 1, SGD_MOMENTUM),
        (O.RMSProp(1e-2), {"squares": np.linspace(0.6, 0.9, 20)}, 1, RMSPROP),
        (
            O.Adam(1e-2),
            {"mean": np.linspace(0.6, 0.9, 20), "squares": np.linspace(0.7, 0.5, 20)},
            6,
            ADAM,
        ),
    ],
)
def test_equal_to_cs231n(optimizer, slots, step, expected):
    given = {"weight": WEIGHT, "gradient": GRADIENT, **slots}
    check_update(optimizer, given, {"weight": expected}, step, tolerance=1e-8)


def check_update(optimizer, given, expected, step, tolerance):
    arrays = {key: np.array(value, np.float64) for key, value in given.items()}
    updater = Updater(optimizer, len(arrays["weight"]), np.float64)
    updater.done = step - 1
    for key, slot in updater.slots.items():
        slot[:] = arrays[key]
    updater.step(arrays["weight"], arrays["gradient"])
    for key, value in expected.items():
        found = arrays["weight"] if key == "weight" else updater.slots[key]
        np.testing.assert_allclose(found, value, rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: O.SGD(0.0), "learning_rate is 0.0"),
        (lambda: O.SGD(-0.1), "learning_rate is -0.1"),
        (lambda: O.SGD(float("nan")), "learning_rate is nan"),
        (lambda: O.SGD("fast"), "learning_rate is 'fast'"),
        (lambda: O.Adam(True), "learning_rate is True"),
        (lambda: O.Adam(O.Cosine), "learning_rate is the class Cosine"),
        (lambda: O.SGD(0.1, momentum=1.0), "momentum is 1.0"),
        (lambda: O.SGD(0.1, momentum="0.9"), "momentum is '0.9'"),
        (lambda: O.SGD(0.1, nesterov=True), "nesterov needs a momentum"),
        (lambda: O.SGD(0.1, weight_decay=-1), "weight_decay is -1"),
        (lambda: O.SGD(0.1, clip_norm=0), "clip_norm is 0"),
        (lambda: O.SGD(0.1, clip_value=float("inf")), "clip_value is inf"),
        (lambda: O.Adam(0.1, beta2=1.0), "beta2 is 1.0"),
        (lambda: O.Adam(0.1, epsilon=0.0), "epsilon is 0.0"),
        (lambda: O.RMSProp(0.1, keep=-0.5), "keep is -0.5"),
        (lambda: O.Adagrad(0.1, rate_decay=float("nan")), "rate_decay is nan"),
        (lambda: O.LBFGS(memory=0), "memory is 0"),
        (lambda: O.ConjugateGradient(tolerance=0), "tolerance is 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make, told):
    with pytest.raises(ConfigError, match=told.replace("(", r"\(")):
        make()
