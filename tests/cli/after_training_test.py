"""What people do with a trained network: look at it, compare it, take it elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pullback as pb
from pullback.data.again import read_again
from pullback.report.summary import summary

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 2)) * [3, 500] + [0, 9000]
KIND = np.where(X[:, 0] + RNG.normal(size=90) > 0, "yes", "no")
QUICK = ["-q", "--epochs", "4"]


@pytest.fixture
def tables(tmp_path):
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": list("uvw") * 30})
    frame.assign(kind=KIND).to_csv(tmp_path / "kinds.csv", index=False)
    frame.assign(y=3 * X[:, 0] + X[:, 1]).to_csv(tmp_path / "values.csv", index=False)
    return tmp_path


def outputs(file, data):
    saved = pb.load(file)
    found = read_again(data, saved.preprocessing)
    return found.X.astype(np.float32), saved.predict(found.X).values


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "logistic_loss"])
def test_an_exported_classifier_gives_the_same_probabilities(run, tables, loss):
    onnxruntime = pytest.importorskip("onnxruntime")
    layers = ["--layers", "5,4,1" if loss != "cross_entropy" else "5,4,2", "--loss", loss]
    run("train", "kinds.csv", *QUICK, *layers, "--save", "n.safetensors")
    code, out, err = run("export", "n.safetensors")
    assert (code, err) == (0, "")
    told = "n.onnx: takes 5 features: a, b, c=u, c=v, c=w; gives the probabilit"
    assert told in " ".join(out.split())
    x, shares = outputs("n.safetensors", "kinds.csv")
    session = onnxruntime.InferenceSession("n.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    assert found == pytest.approx(shares if loss == "cross_entropy" else shares[:, 1:], abs=1e-5)
    told = json.loads(session.get_modelmeta().custom_metadata_map["pullback"])
    assert told["features"] == ["a", "b", "c=u", "c=v", "c=w"]


def test_an_exported_regressor_gives_values_in_their_own_units(run, tables):
    torch = pytest.importorskip("torch")
    run("train", "values.csv", *QUICK, "--save", "n.safetensors")
    code, out, _ = run("export", "n.safetensors", "--to", "torch", "--out", "m.pt2", "--json")
    assert (code, json.loads(out)["output"]) == (0, "y in its own units")
    x, values = outputs("n.safetensors", "values.csv")
    module = torch.export.load("m.pt2").module()
    assert module(torch.tensor(x)).detach().numpy() == pytest.approx(values, rel=1e-5)
    assert np.ptp(values) > 100


def test_what_cannot_be_exported_is_refused(run, tables):
    run("train", "values.csv", *QUICK, "--save", "n.safetensors")
    code, _, err = run("export", "n.safetensors", "--to", "onx")
    assert (code, "did you mean 'onnx'?" in err) == (2, True)
    code, _, err = run("export", "values.csv")
    assert (code, "not a safetensors file" in " ".join(err.split())) == (2, True)


def test_runs_are_compared_row_by_row(run, tables):
    run("train", "values.csv", *QUICK, "--save", "a.safetensors")
    run("train", "values.csv", "-q", "--epochs", "60", "--save", "b.safetensors")
    both = ["a.safetensors", "b.safetensors", "--on", "values.csv"]
    code, out, _ = run("compare", *both, "--json")
    assert code == 0
    found = json.loads(out)["runs"]
    assert found[1]["verdict"] == "better than the first"
    truth = pd.read_csv("values.csv").y.to_numpy()
    losses = [(outputs(f, "values.csv")[1][:, 0] - truth) ** 2 for f in both[:2]]
    assert found[0]["loss"] == pytest.approx(losses[0].mean())
    gap = losses[1] - losses[0]
    interval = stats.t.interval(0.95, len(gap) - 1, gap.mean(), stats.sem(gap))
    assert found[1]["gap_interval"] == pytest.approx(interval)


def test_seeds_are_compared_by_their_tests(run, tables):
    runs = {"a": ["--epochs", "1"], "b": ["--epochs", "9"]}
    for name, options in runs.items():
        for seed in "123":
            saved = f"{name}{seed}.safetensors"
            run("train", "kinds.csv", "-q", *options, "--seed", seed, "--save", saved)
    groups = [",".join(f"{name}{seed}.safetensors" for seed in "123") for name in runs]
    code, out, _ = run("compare", *groups, "--json")
    assert code == 0
    found = json.loads(out)["runs"]
    errors = [
        [1 - pb.load(file).facts["test_scores"]["accuracy"] for file in each.split(",")]
        for each in groups
    ]
    assert [each["loss"] for each in found] == pytest.approx([np.mean(each) for each in errors])
    welch = stats.ttest_ind(errors[1], errors[0], equal_var=False).confidence_interval()
    assert found[1]["gap_interval"] == pytest.approx([welch.low, welch.high])
    for args, text in [
        (groups[:1], "there is one run"),
        (["a1.safetensors", "b1.safetensors"], "a single run has no interval"),
    ]:
        code, _, err = run("compare", *args)
        assert (code, text in err) == (2, True)
    run("train", "values.csv", *QUICK, "--save", "v.safetensors")
    code, _, err = run("compare", "a1.safetensors", "v.safetensors", "--on", "kinds.csv")
    assert (code, "not trained on one target" in err) == (2, True)


def test_a_summary_counts_as_others_do(run, tables):
    """Parameters and multiply-adds of a layer: out · in, and for a convolution at each place."""
    net = pb.Network(
        pb.Sequential(pb.Conv2d(3, 8, 5, padding=2), pb.ReLU(), pb.Flatten(), pb.Linear(512, 10)),
        pb.CrossEntropy(),
        x="channels=3 height=8 width=8",
    )
    rows = summary(net).rows
    assert [row.parameters for row in rows] == [8 * 3 * 25 + 8, 0, 0, 5130]
    assert [row.madds for row in rows] == [8 * 3 * 25 * 64, 0, 0, 5120]
    assert [row.output for row in rows] == [(8, 8, 8), (8, 8, 8), (512,), (10,)]
    tokens = pb.Sequential(pb.Embedding(9, 4), pb.MultiheadAttention(4, 2))
    found = summary(pb.Network(tokens, pb.MSELoss(), x="tokens=5:index"))
    assert found.madds == 4 * 5 * 4 * 4 + 2 * 5 * 5 * 4
    code, out, _ = run("summary", "--layers", "784,300,10", "--json")
    assert (code, json.loads(out)["parameters"]) == (0, 784 * 300 + 300 + 3010)


def test_a_torch_module_has_a_summary_too(run, tables):
    torch = pytest.importorskip("torch")
    text = "import torch\nmodel = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh())"
    (tables / "m.py").write_text(text)
    code, out, _ = run("summary", "--net", "m.py:model", "--shape", "4")
    assert (code, "15 parameters" in out) == (0, True)
    assert summary(torch.nn.Linear(4, 3), torch.zeros(2, 4)).madds == 12
    for args, words in [
        (["--net", "m.py:model", "--shape", "4,x"], "expected the sizes of a sample"),
        ([], "give a saved network, or --layers"),
    ]:
        code, _, err = run("summary", *args)
        assert (code, words in err) == (2, True)


MODULE = """import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
"""


def test_every_question_takes_a_torch_module(run, tables):
    pytest.importorskip("torch")
    (tables / "m.py").write_text(MODULE)
    module = ["--net", "m.py:model"]
    code, out, err = run("derive", *module, "--convention", "columns")
    assert (code, err, "(W₂ᵀ δ₂) ⊙ (1 − a₁²)" in out) == (0, "", True)
    code, out, _ = run("derive", *module, "--loss", "mse", "--as", "numpy")
    assert (code, "def value_and_grad" in out) == (0, True)
    code, out, _ = run("plan", *module, "--consumer", "gram", "--json")
    wanted = pb.Sequential(pb.Linear(2, 8), pb.Tanh(), pb.Linear(8, 2))
    net = pb.Network(wanted, pb.SquaredError())
    plan = pb.jacobian(net, net.init(0), np.ones(2)).plan("gram")
    assert (code, json.loads(out)) == (0, json.loads(json.dumps(plan.to_dict())))
    for args, words in [
        (["derive", *module, "--activation", "relu"], "either --net or --layers with --activation"),
        (["derive", *module, "--layers", "2,2"], "either a formula, or --layers, or --net"),
        (["plan"], "give either --layers"),
        (["plan", *module, "--memory", "9"], "limit is 9 B; a step on X (32, 2) needs at least"),
    ]:
        code, _, err = run(*args)
        assert (code, words in err) == (2, True), err


def test_a_report_trains_a_module_from_its_own_weights(run, tables):
    pytest.importorskip("torch")
    (tables / "m.py").write_text(MODULE)
    args = ["kinds.csv", "--drop", "c", "--epochs", "1", "--net", "m.py:model"]
    code, _, err = run("report", *args, "--quiet")
    assert (code, err) == (0, "")
    page = (tables / "report.html").read_text()
    assert "The network with its own weights, measured on the same samples, is" in page


def test_a_module_may_make_pictures_of_rows_itself(run, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "m.py").write_text(
        "import torch\nfrom torch import nn\ntorch.manual_seed(0)\n"
        "layers = [nn.Conv2d(1, 2, 3, stride=3), nn.Flatten(), nn.Linear(8, 10)]\n"
        "model = nn.Sequential(*layers)\n"
        "shaping = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers)\n"
    )
    found = []
    for name in ("model", "shaping"):
        args = ["--net", f"m.py:{name}", "--epochs", "1", "--quiet", "--json"]
        code, out, err = run("train", "digits", *args)
        assert (code, err) == (0, "")
        found.append(json.loads(out)["history"]["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-4)
