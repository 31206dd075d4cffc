"""``fit`` under a limit of memory: the same training, bit for bit."""

import numpy as np
import pytest

import pullback as pb
from pullback.train.choose_engine import check_room
from pullback.train.compiled_engine import CompiledEngine

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 6)).astype(np.float32)
Y = rng.integers(0, 3, 300)
NET = pb.Network(
    pb.Sequential(
        pb.Linear(6, 24), pb.BatchNorm1d(24), pb.ReLU(), pb.Dropout(0.3), pb.Linear(24, 24),
        pb.LayerNorm(24), pb.GELU(), pb.Linear(24, 3),
    ),
    loss=pb.CrossEntropy(),
)  # fmt: skip


def trained(**options):
    options = {"epochs": 2, "batch_size": 128, "progress": False, "engine": "numpy", **options}
    return pb.fit(NET, X, Y, **options)


@pytest.fixture(scope="module")
def least():
    return pb.plan_memory(NET, (128, 6), dtype=np.float32).least


def test_weights_states_and_noise_are_the_same(least):
    """The last batch is smaller; running means are updated once, and noise is drawn once."""
    free, bound = trained(), trained(memory=least)
    assert bound.history["loss"] == free.history["loss"]
    for name, value in free.params.items():
        np.testing.assert_array_equal(bound.params[name], value, name)


def test_a_limit_below_the_least_is_refused(least):
    with pytest.raises(pb.errors.ConfigError, match="needs at least"):
        trained(memory=least - 1)


def test_automatic_takes_numpy_where_the_compiled_engine_needs_more(least, capsys):
    trained(memory=least, engine="auto", progress=True)
    assert "the compiled engine keeps everything" in capsys.readouterr().err
    with pytest.raises(pb.errors.ConfigError, match="take engine='numpy'"):
        trained(memory=least, engine="compiled")


def test_the_compiled_engine_runs_where_it_fits():
    net = pb.Network(pb.Sequential(pb.Linear(6, 8), pb.Tanh(), pb.Linear(8, 3)), loss=NET.criterion)
    engine = CompiledEngine(net, net.init(0, dtype=np.float32), pb.optim.SGD(0.1))
    needed = engine.memory(64)
    check_room(engine, needed, 64)
    for limit, batch_size in ((needed - 1, 64), (needed, None)):
        with pytest.raises(pb.errors.ConfigError, match="keeps everything"):
            check_room(engine, limit, batch_size)
    result = pb.fit(
        net, X, Y, epochs=1, batch_size=64, engine="compiled", memory=needed, progress=False
    )
    assert np.isfinite(result.history["loss"][0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"memory": "much"}, "memory is 'much'; expected bytes"),
        ({"memory": 0}, "expected bytes"),
        ({"memory": "1 GB", "engine": "jax"}, "memory is for the engines"),
        ({"memory": "1 GB", "optimizer": pb.optim.LBFGS()}, "knows no limit of memory"),
    ],
)
def test_what_makes_no_sense_is_refused(options, says):
    with pytest.raises(pb.errors.ConfigError, match=says):
        trained(**options)
