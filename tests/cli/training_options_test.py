"""``pullback train``: its optimisers and schedules, validation, what it echoes, divergence."""

import json

import pytest

from pullback.cli import main
from pullback.train import checkpoint


@pytest.fixture
def train(capsys, tmp_path, monkeypatch):
    """Train on the digits: exit code, and what is printed, as JSON if that is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")

    def command(*args):
        with pytest.raises(SystemExit) as left:
            main(["train", "--layers", "64,8,10", "--quiet", *args])
        out, err = capsys.readouterr()
        assert err == ""
        return left.value.code, json.loads(out) if "--json" in args else out

    return command


def test_it_says_what_it_is_about_to_do(train):
    code, out = train("--epochs", "1", "--optimizer", "adam", "--schedule", "cosine")
    assert code == 0
    told = " ".join(out.split())
    assert "task classification of digit, 10 classes" in told
    assert "model Sequential(Linear(64, 8), Tanh(), Linear(8, 10)), 610 parameters" in told
    assert "Adam(learning_rate=Cosine(rate=0.001, steps=45, final=0.0))" in told
    assert max(map(len, out.splitlines())) <= 60


def test_early_stopping_watches_a_part_of_the_training_samples(train):
    code, found = train("--epochs", "60", "--early-stopping", "2", "--lr", "0.3", "--json")
    assert code == 0
    assert found["epochs"] < 60
    assert "has not improved" in found["stopped"]
    sizes = [found[f"{part}samples"] for part in ("", "validation_", "test_")]
    assert sum(sizes) == 1797
    # the parameters are those of the best epoch, and all three numbers are of these
    assert found["validation_loss"] == pytest.approx(min(found["history"]["validation_loss"]))
    assert found["test_accuracy"] > 0.8


@pytest.mark.parametrize(
    "options", [["--optimizer", "lbfgs"], ["--optimizer", "rmsprop", "--clip-norm", "1"],
                ["--schedule", "one-cycle"], ["--schedule", "step", "--momentum", "0"],
                ["--schedule", "warm-up", "--validation", "0.1"]],
)  # fmt: skip
def test_every_option_trains(train, options):
    code, found = train("--epochs", "4", "--json", *options)
    assert code == 0
    assert found["test_accuracy"] > 0.2


@pytest.mark.parametrize("rate", ["5", "1e9"])
def test_divergence_is_an_exit_code_a_sentence_and_json(train, tmp_path, rate):
    options = ["--epochs", "3", "--lr", rate, "--activation", "relu"]
    code, out = train(*options)
    assert code == 1
    told = " ".join(out.split())
    assert f"Training diverged: {told.rpartition('Training diverged: ')[2]}" in told
    assert "try 0.1" in told
    code, found = train(*options, "--json", "--save", "net.safetensors")
    assert (code, found["diverged"]) == (1, True)
    assert found["divergence"]["cause"] == "learning rate"
    assert checkpoint.load(tmp_path / "net.safetensors")[1]["diverged"] is True


def test_names_from_elsewhere_are_known(train):
    code, found = train("--init", "kaiming", "--activation", "swish", "--epochs", "1", "--json")
    assert code == 0
    assert "SiLU" in found["model"]
    assert train("--init", "xavier", "--loss", "ce", "--epochs", "1")[0] == 0
