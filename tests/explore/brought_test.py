"""A network and data that the command line gives: the study page shows what no page may pick."""

import json

import numpy as np
import pytest
from explore_server import Stream, running

from pullback.cli import main
from pullback.errors import ConfigError, PullbackError
from pullback.explore.brought import FILE, NORMAL, OWN, Brought
from pullback.explore.page import page
from pullback.explore.setup import Setup, work_of
from pullback.explore.views import VIEWS

TEXT = """
import pullback as pb
import torch
torch.manual_seed(3)
tiny = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
conv = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 10))
four = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
words = torch.nn.Sequential(torch.nn.Embedding(5, 2), torch.nn.Flatten(), torch.nn.Linear(6, 2))
ours = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 2)), pb.SquaredError(), l2=0.1)
"""  # noqa: E501


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "<b>model.py"
    path.write_text(TEXT)
    return lambda name: f"{path}:{name}"


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    rows = [",".join(f"{x:.3f}" for x in row) for row in rng.normal(40, 9, size=(30, 5))]
    path = tmp_path / "<i>t.csv"
    path.write_text("a,b,c,d,price\n" + "\n".join(rows))
    return str(path)


def test_a_module_is_studied_with_the_weights_that_it_has(model):
    given = Brought(model("tiny"))
    assert list(given.choices) == ["moons", "circles"]
    assert given.form() == {"data": "moons", "init": OWN, "loss": "cross_entropy"}
    work = work_of(Setup.of(given.form()), given)
    assert work.start["0.weight"].shape == (5, 2)
    assert np.array_equal(work.start["0.weight"], given.recipe.weights["0.weight"])
    other = work_of(Setup(init="he", seed=1), given)
    assert not np.array_equal(other.start["0.weight"], work.start["0.weight"])
    for name, view in VIEWS.items():
        json.dumps(view(work, {}), allow_nan=False), name
    html = page(given)
    assert "&lt;b&gt;model.py:tiny" in html
    assert "<b>model" not in html


def test_a_convolution_reads_pictures(model):
    given = Brought(model("conv"), shape=(1, 8, 8))
    assert list(given.choices) == ["digits"]
    work = work_of(Setup.of(given.form()), given)
    assert work.train[0].shape[1:] == (1, 8, 8)
    assert len(VIEWS["network"](work, {})["data"]["images"]) == 20


def test_a_network_of_ours_keeps_its_loss(model):
    given = Brought(model("ours"))
    assert given.form()["loss"] == OWN
    work = work_of(Setup.of(given.form()), given)
    assert (type(work.net.criterion).__name__, work.net.l2) == ("SquaredError", 0.1)


def test_data_of_ones_own_are_scaled_and_values_are_learnt(model, table):
    given = Brought(model("four"), table)
    work = work_of(Setup.of(given.form()), given)
    assert np.abs(work.train[0].mean(axis=0)).max() < 1e-5
    assert np.abs(work.train[1].std() - 1) < 1e-5
    found = VIEWS["network"](work, {})
    assert "4 features, which no plane shows; the target is price" in found["data"]["told"]
    assert "wanted is" in VIEWS["neurons"](work, {})["told"]
    alone = Brought(data=table)
    assert work_of(Setup.of(alone.form() | {"hidden": "3"}), alone).widths == [4, 3, 1]
    assert list(alone.choices)[:2] == [FILE, "moons"]
    with pytest.raises(ConfigError, match=r"'price' holds values.*pick squared"):
        work_of(Setup(data=FILE, loss="cross_entropy"), alone)


def test_where_no_data_fit_there_are_normal_numbers(model):
    given = Brought(model("four"))
    assert list(given.choices) == [NORMAL]
    assert given.form()["loss"] == "binary_cross_entropy"
    work = work_of(Setup.of(given.form()), given)
    assert work.train[0].shape[1:] == (4,)
    with pytest.raises(ConfigError, match=r"takes 4 features.*two moons|moons has 2 features"):
        work_of(Setup(data="moons"), given)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--net", "{words}"], "no whole ones of an input"),
        (["--net", "{tinny}"], "did you mean 'tiny'"),
        (["{table}", "--net", "{tiny}"], "it takes 2 features"),
        (["--net", "{conv}"], "on the command line: --shape 1,28,28"),
        (["--net", "nowhere.py:x"], "nowhere.py"),
        (["--target", "x"], "--target goes with --net file.py:name or a file"),
        (["--net", "{tiny}", "--shape", "2,x"], "--shape is '2,x'"),
        (["--net", "{tiny}", "--export", "p.html"], "leave --net out"),
        (["nothing.csv"], "nothing.csv"),
    ],
)
def test_what_cannot_be_shown_is_said_before_the_page_opens(model, table, options, text, capsys):
    capsys.readouterr()
    names = {name: model(name) for name in ("words", "tinny", "tiny", "conv")} | {"table": table}
    with pytest.raises(SystemExit) as ended:
        main(["explore", *(each.format(**names) for each in options)])
    assert ended.value.code == 2
    assert text in " ".join(capsys.readouterr().err.split())


def test_it_is_served_and_trains(model):
    with running("--net", model("ours")) as served:
        assert served.address.endswith("/study")
        served.path = served.path.removesuffix("study")
        setup = {"data": "moons", "init": OWN, "loss": OWN, "epochs": 3, "pace": "full"}
        assert served.view("network", setup)["title"] == "<b>model.py:ours"
        assert "unknown choice 'net'" in served.view("network", setup | {"net": model("tiny")})
        stream = Stream(served, "b")
        assert served.ask("train", {"page": "p", "browser": "b", "setup": setup})[0] == 200
        assert stream.until("end", "error")[-1]["why"] == "done"
        stream.close()


def test_without_a_file_the_networks_own_is_no_choice():
    with pytest.raises(PullbackError, match="unknown loss 'own'"):
        work_of(Setup(loss=OWN))
    with pytest.raises(PullbackError, match="unknown init 'own'"):
        work_of(Setup(init=OWN))
