"""``plan_memory``: what it promises holds, and what cannot be is refused."""

import json

import numpy as np
import pytest

import pullback as pb
from pullback.cli import main
from pullback.net.limit import as_bytes, bytes_of


def normed(n_in, n_out):
    return [pb.Conv2d(n_in, n_out, 3, padding=1, bias=False), pb.BatchNorm2d(n_out)]


def residual(width):
    inner = pb.Sequential(*normed(width, width), pb.ReLU(), *normed(width, width))
    return [pb.Residual(inner), pb.ReLU()]


RESNET = pb.Network(
    pb.Sequential(
        *normed(3, 4), pb.ReLU(), *residual(4), *residual(4), *residual(4), *residual(4),
        *residual(4), *residual(4), pb.AdaptiveAvgPool2d(1), pb.Flatten(), pb.Linear(4, 10),
    ),
    loss=pb.CrossEntropy(), x="channels=3 height=16 width=16",
)  # fmt: skip
SHAPE = (32, 3, 16, 16)
DENSE = pb.Network(
    pb.Sequential(pb.Linear(8, 32), pb.Tanh(), pb.LayerNorm(32), pb.Linear(32, 1)),
    loss=pb.MSELoss(),
)


@pytest.fixture(scope="module")
def full():
    return pb.plan_memory(RESNET, SHAPE, dtype=np.float32)


def test_where_everything_fits_it_says_so(full):
    assert full.fits
    assert full.extra == 0
    assert full.recomputed == {}
    assert full.text().splitlines()[1].split("plan")[1].strip().startswith("everything fits")


def test_a_ladder_has_less_memory_and_more_work_on_each_rung(full):
    extra = [each.extra for each in full.rungs]
    assert extra == sorted(extra)
    assert all(each.peak <= each.limit for each in full.rungs)
    assert full.rungs[-1].limit == full.least
    assert len(full.table().splitlines()) == len(full.rungs) + 1


def test_a_plan_uses_what_it_is_given(full):
    value = 32 * 4 * 16 * 16 * 4  # bytes: one more does not fit
    for each in full.rungs[1:-1]:
        assert each.peak > min(each.limit, full.full) - value


def test_half_of_the_memory_costs_less_than_half_a_forward_pass(full):
    half = pb.plan_memory(RESNET, SHAPE, full.full // 2, dtype=np.float32)
    assert half.peak <= full.full // 2
    assert 0 < half.extra < 0.5
    assert sum(half.recomputed.values()) > 0
    assert not set(half.kept) & set(half.recomputed)


def test_elementwise_functions_and_norms_go_before_convolutions(full):
    most = pb.plan_memory(RESNET, SHAPE, int(0.85 * full.full), dtype=np.float32)
    assert most.recomputed
    assert not [name for name in most.recomputed if name.startswith("z")]


def test_it_is_plain_data_for_json(full):
    found = json.loads(json.dumps(full.to_dict()))
    assert found["peak"] == full.peak
    assert found["ladder"][0]["limit"] == full.rungs[0].limit
    assert "everything fits" in full._repr_html_()


def test_an_order_of_a_small_network_may_be_proven():
    plan = pb.plan_memory(DENSE, (1000, 8), "100 MB")
    assert pb.plan_memory(DENSE, (1000, 8), plan.least + 100_000).proven


@pytest.mark.parametrize(
    ("text", "count"),
    [("200 MB", 2 * 10**8), ("1.5 GiB", 3 * 2**29), ("64kib", 2**16), ("7", 7), (12, 12),
     ("2 b", 2), (np.int64(5), 5)],
)  # fmt: skip
def test_limits_are_read(text, count):
    assert bytes_of("limit", text) == count


@pytest.mark.parametrize(
    "limit",
    ["", "MB", "-1 MB", "1 XB", "1e3 MB", 0, -5, 1.5, True, None, float("nan"), "0", 10**400,
     "9" * 400],
)  # fmt: skip
def test_what_is_no_limit_is_refused(limit):
    with pytest.raises(pb.errors.ConfigError, match=r"^limit is .*; expected bytes, as"):
        pb.plan_memory(DENSE, (4, 8), limit)


def test_a_limit_below_the_least_is_told_the_least():
    least = pb.plan_memory(DENSE, (1000, 8), "100 MB").least
    with pytest.raises(pb.errors.ConfigError, match=rf"at least {as_bytes(least)} \({least:,} b"):
        pb.plan_memory(DENSE, (1000, 8), least - 1)
    params, X, Y = DENSE.init(), np.ones((1000, 8)), np.ones((1000, 1))
    with pytest.raises(pb.errors.ConfigError, match=r"memory is 10.0 kB; a step .* at least"):
        DENSE.value_and_grad(params, X, Y, memory="10 kB")


@pytest.mark.parametrize(
    ("shape", "error", "says"),
    [
        ((4, 7), pb.errors.ShapeError, "features=8"),
        ((8,), pb.errors.ShapeError, "features=8"),
        (8, pb.errors.ShapeError, "expected whole numbers"),
        ("48", pb.errors.ShapeError, "expected whole numbers"),
        ((0, 8), pb.errors.ConfigError, "a whole number from 1"),
        ((2.5, 8), pb.errors.ConfigError, "a whole number from 1"),
        ({"y": (4, 8)}, pb.errors.UnknownNameError, "unknown input 'y'"),
        ({}, pb.errors.UnknownNameError, "lacks the input 'x'"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape, error, says):
    with pytest.raises(error, match=says):
        pb.plan_memory(DENSE, shape)


def test_what_is_no_network_is_refused():
    with pytest.raises(pb.errors.ConfigError, match="expected a network"):
        pb.plan_memory(pb.Linear(2, 1), (4, 2))


def test_a_batch_whose_loss_is_not_finite_is_refused():
    net, X = pb.Network(pb.Linear(8, 1), loss=pb.MSELoss()), np.full((100, 8), 1e200)
    with (
        np.errstate(all="ignore"),
        pytest.raises(pb.errors.NonFiniteError, match="the loss is not finite"),
    ):
        net.value_and_grad(net.init(), X, np.ones((100, 1)), memory="1 MB")


def test_the_command_prints_the_plan(tmp_path, capsys):
    model = tmp_path / "model.py"
    model.write_text("import pullback as pb\nmodel = pb.Sequential(pb.Linear(8, 4), pb.Tanh())\n")
    with pytest.raises(SystemExit) as left:
        main(["plan", "--net", f"{model}:model", "--memory", "1MB", "--batch", "16", "--json"])
    assert left.value.code == 0
    assert json.loads(capsys.readouterr().out)["limit"] == 10**6
