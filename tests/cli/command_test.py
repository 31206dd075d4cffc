"""The command line: what it prints, its exit codes, and bad input in one line."""

import json
import subprocess
import sys

import numpy as np
import pytest

from pullback.train import checkpoint

TINY = ["--layers", "64,8,10", "--epochs", "2", "--quiet"]


def test_help_is_quick_and_fits_80_columns():
    code = (
        "import sys; from pullback.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, loaded = done.stdout.rstrip().rsplit("\n", 1)
    assert {"report", "train", "check"} <= set(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert not {"numpy", "sympy", "sklearn", "plotly"} & set(loaded.split())


@pytest.mark.parametrize("command", ["report", "train", "check"])
def test_each_help_shows_an_example(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: pullback {command}" in out


def test_python_m_pullback_says_its_version():
    done = subprocess.run(
        [sys.executable, "-m", "pullback", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("pullback "), done.stderr


def test_default_training_on_digits_reaches_96_percent(run):
    code, out, err = run("train", "--json", "--quiet")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["test_accuracy"] >= 0.96
    assert found["samples"] + found["test_samples"] == 1797
    assert len(found["history"]["loss"]) == found["epochs"] == 30


def test_train_prints_a_table_and_saves_parameters(run, tmp_path):
    code, out, err = run("train", *TINY, "--save", "net.safetensors")
    assert (code, err) == (0, "")
    assert "accuracy" in out
    assert max(map(len, out.splitlines())) <= 80
    params, facts = checkpoint.load(tmp_path / "net.safetensors")
    assert params["0.weight"].shape == (8, 64)
    assert facts["data"] == "digits"
    assert facts["classes"] == list("0123456789")


def test_tables_are_scaled_and_the_scaling_is_saved(run, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)) * [1, 1000] + [0, 5000]
    rows = [f"{a},{b},{3 * a + b / 1000 + 9}" for a, b in x]
    (tmp_path / "data.csv").write_text("a,b,y\n" + "\n".join(rows))
    code, out, err = run("train", "data.csv", "--epochs", "20", "--save", "p.safetensors", "-q")
    assert (code, err) == (0, ""), out
    _, facts = checkpoint.load(tmp_path / "p.safetensors")
    assert facts["test_loss"] < 0.1
    assert facts["preprocessing"]["scaling"]["x"]["mean"][1] == pytest.approx(5000, rel=0.2)
    assert set(facts["preprocessing"]["scaling"]) == {"x", "y"}


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "logistic_loss", "squared_error"])
def test_two_classes_with_one_output(run, tmp_path, loss):
    (tmp_path / "d.csv").write_text("x,y\n" + "\n".join(f"{i},{i % 2}" for i in range(20)))
    args = ["--layers", "1,3,1", "--loss", loss, "--epochs", "1", "-q", "--json"]
    code, out, err = run("train", "d.csv", *args)
    assert (code, err) == (0, "")
    assert ("accuracy" in json.loads(out)) == (loss != "squared_error")


def test_check_passes_and_fails_by_its_tolerance(run):
    layers = ["--layers", "64,3,10", "--samples", "4"]
    code, out, _ = run("check", *layers)
    assert code == 0
    assert "right" in out
    code, out, _ = run("check", *layers, "--tolerance", "1e-30", "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


def test_report_writes_one_page_and_says_its_verdict(run, tmp_path):
    code, out, err = run("report", *TINY, "--out", "page.html", "--title", "Digits <here>")
    assert (code, err) == (0, "")
    assert "are classified right, and every gradient is right." in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>Digits &lt;here&gt;</h1>" in page
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_network_from_a_toml_file(run, tmp_path):
    (tmp_path / "net.toml").write_text('layers = [64, 6, 10]\nactivation = "relu"')
    code, out, err = run("train", "--net", "net.toml", "--epochs", "1", "-q", "--json")
    assert (code, err) == (0, "")
    assert "ReLU" in json.loads(out)["network"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["train", "digit"], "did you mean 'digits'"),
        (["train", "nosuch.csv"], "there is no file 'nosuch.csv'"),
        (["report", "data.xls"], "unknown ending"),
        (["train", "--layers", "64,x"], "expected widths"),
        (["train", "--layers", "32,10"], "start --layers with 64"),
        (["train", "--layers", "64,5"], "end --layers with 10"),
        (["train", "--activation", "tahn"], "did you mean 'tanh'"),
        (["train", "--activation", "x*"], "'x*'"),
        (["train", "--loss", "cross"], "unknown loss 'cross'"),
        (["train", "--init", "hee"], "did you mean 'he'"),
        (["train", "--net", "a.toml", "--layers", "64,10"], "either --net or --layers"),
        (["train", "--net", "a.toml"], "there is no file 'a.toml'"),
        (["train", "--epochs", "0"], "epochs is 0"),
        (["train", "--epochs", "many"], "--epochs"),
        (["train", "--lr", "-1"], "expected a number above 0"),
        (["train", "--test", "2"], "expected a share"),
        (["train", "--epoch", "3"], "--epochs"),
        (["trian"], "did you mean 'train'"),
        (["train", "digits", "more"], "unexpected extra argument"),
        (["train", "--save", "no/such.safetensors"], "there is no folder"),
        (["report", "--out", "no/such.html"], "there is no folder"),
        (["check", "--samples", "0"], "samples is 0"),
        (["train", "--optimiser", "adam"], "unknown option '--optimiser': did you mean '--optimi"),
        (["train", "--optimizer", "adm"], "unknown optimizer 'adm': did you mean 'adam'"),
        (["train", "--optimizer", "adam", "--momentum", "0.5"], "adam takes no --momentum"),
        (["train", "--optimizer", "lbfgs", "--lr", "0.5"], "lbfgs takes no --lr"),
        (["train", "--schedule", "cosin"], "unknown schedule 'cosin': did you mean 'cosine'"),
        (["train", "--clip-norm", "0"], "clip_norm is 0"),
        (["train", "--validation", "1"], "expected a share"),
        (["train", "--early-stopping", "0"], "early_stopping is 0"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(run, tmp_path, args, said):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("pullback: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
