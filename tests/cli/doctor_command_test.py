"""``pullback doctor``: a file's module on a table, its exit codes, and bad input in one line."""

import json

import numpy as np
import pytest

from pullback.cli import main

MODEL = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(
    nn.Linear(3, 16),
    nn.ReLU(),
    nn.Linear(16, 3),
    nn.Softmax(dim=1),
)
loss = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
batch_size, epochs = 20, 5
"""


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command on a model and a table of three blobs: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kinds = np.arange(180) % 3
    X = 3 * rng.normal(size=(3, 3))[kinds] + rng.normal(size=(180, 3))
    rows = [f"{a:.4f},{b:.4f},{c:.4f},kind{k}" for (a, b, c), k in zip(X, kinds, strict=True)]
    (tmp_path / "flowers.csv").write_text("\n".join(["a,b,c,kind", *rows]))
    (tmp_path / "model.py").write_text(MODEL)

    def command(*args):
        with pytest.raises(SystemExit) as left:
            main(["doctor", *args, "flowers.csv", "--quiet"])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return command


def test_the_finding_has_its_line(run):
    code, out, _ = run("model.py:model", "--json")
    found = json.loads(out)
    assert code == 1
    first = found["findings"][0]
    assert (first["where"], first["source"]) == ("3", "model.py:10")
    assert first["score"] > found["score"]


def test_what_learns_ends_with_0(run, tmp_path):
    fixed = MODEL.replace("    nn.Softmax(dim=1),\n", "")
    (tmp_path / "model.py").write_text(fixed)
    code, out, _ = run("model.py:model", "--optimizer", "adam", "--lr", "0.02", "--epochs", "10")
    assert code == 0, out
    assert "\nIt learns" in out


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["model.py:modle"], "did you mean 'model'"),
        (["model.py"], "file.py:name"),
        (["model.py:model", "--loss", "MSELos"], "MSELoss"),
        (["model.py:model", "--optimizer", "Adan"], "Adam"),
    ],
)
def test_bad_input_is_one_line(run, args, word):
    code, _, err = run(*args)
    assert code == 2
    assert word in err
    assert err.count("\n") == 1
