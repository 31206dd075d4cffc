"""What a page may pick, and what it is told where that makes no sense."""

import numpy as np
import pytest

from pullback.errors import ConfigError, PullbackError
from pullback.explore.samples import LABELS, samples
from pullback.explore.setup import MOST_PARAMETERS, Setup, work_of
from pullback.explore.training import plane
from pullback.net.recipe import LOSSES


@pytest.mark.parametrize("name", LABELS)
def test_every_data_set_has_all_its_classes_and_is_the_same_each_time(name):
    data = samples(name)
    assert sorted(set(data.Y.tolist())) == list(range(data.outputs))
    samples.cache_clear()
    assert np.array_equal(samples(name).X, data.X)


@pytest.mark.parametrize("name", [name for name in LABELS if name != "digits"])
def test_every_plane_fits_its_picture(name):
    assert np.abs(samples(name).X).max() < np.abs(plane(5, 2.4)).max()


@pytest.mark.parametrize("data", LABELS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_goes_with_every_data_set(data, loss):
    work = work_of(Setup(data=data, loss=loss, hidden="3"))
    assert np.isfinite(work.net.loss(work.start, *work.train))
    assert work.widths[0] == work.data.X.shape[1]


@pytest.mark.parametrize(
    ("hidden", "widths"), [("", []), ("7", [7]), ("4, 3", [4, 3]), (" 5x3 ,2", [5, 5, 5, 2])]
)
def test_hidden_layers_are_read(hidden, widths):
    assert work_of(Setup(hidden=hidden)).widths == [2, *widths, 2]


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"hidden": "0"}, "a width is 0; expected a whole number from 1"),
        ({"hidden": "4,,3"}, "hidden is '4,,3'; expected widths such as 16, 8 or 16x4"),
        ({"hidden": "four"}, "expected widths"),
        ({"hidden": "-4"}, "expected widths"),
        ({"hidden": "9x100000000"}, "a page takes at most 40 layers"),
        ({"hidden": "4x0"}, "number of layers is 0"),
        ({"hidden": "99999"}, "a layer of 99999 units is too wide"),
        ({"hidden": "1024, 1024"}, f"more than {MOST_PARAMETERS:,} weights"),
        ({"hidden": "1," * 200}, "hidden has 400 characters"),
        ({"hidden": 4}, "hidden is 4; expected a text"),
        ({"activation": "tahn"}, "did you mean 'tanh'?"),
        ({"activation": "x+"}, ""),
        ({"loss": "hinge"}, "unknown loss 'hinge'"),
        ({"init": "hee"}, "did you mean 'he'?"),
        ({"data": "moon"}, "did you mean 'moons'?"),
        ({"data": "../secret"}, "unknown data set"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**40}, "seed"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 10**6}, "at most 5,000"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": "fast"}, "rate is 'fast'"),
        ({"momentum": 1}, "expected a number below 1"),
        ({"batch": 2.5}, "batch is 2.5"),
        ({"pace": "warp"}, "unknown pace 'warp'"),
        ({"hiden": "4"}, "did you mean 'hidden'?"),
        (None, "setup is missing"),
        ([1], "setup is missing"),
    ],
)
def test_a_choice_that_makes_no_sense_is_named(choices, told):
    with pytest.raises(PullbackError) as found:
        work_of(Setup.of(choices))
    assert told in str(found.value)


def test_the_default_is_a_setup():
    assert work_of(Setup()).widths == [2, 4, 3, 2]
    with pytest.raises(ConfigError):
        Setup(epochs=True)
