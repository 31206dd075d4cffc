"""``pullback closed-form`` prints what ``closed_form`` finds."""

import json

import numpy as np
import pytest

import pullback as pb
from pullback.cli import main

W = np.array([[0.9, 1.0], [0.0, 0.5]])


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(text):
        with pytest.raises(SystemExit) as left:
            main(["closed-form", *text.split()])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return command


@pytest.mark.parametrize("ending", ["npy", "csv", "npz"])
def test_matrix_from_a_file(run, ending):
    if ending == "csv":
        np.savetxt("W.csv", W, delimiter=",")
    else:
        np.save("W.npy", W) if ending == "npy" else np.savez("W.npz", W=W)
    code, out, err = run(f"W.{ending} --steps 57")
    assert (code, err) == (0, "")
    assert (
        out
        == f"W.{ending}, applied 57 times\n\n" + pb.closed_form(pb.Recurrence(W, 57)).text() + "\n"
    )
    code, out, _ = run(f"W.{ending} --steps 57 --json")
    assert (code, json.loads(out)["method"]) == (0, "eigen")


def test_states_of_an_archive(run):
    np.savez("net.npz", W=W, state=np.ones(2), inputs=np.ones((4, 2)))
    code, out, _ = run("net.npz --steps 4 --activation tanh --json")
    found = json.loads(out)
    assert (code, found["exists"], found["error"]) == (0, False, pytest.approx(0, abs=1e-14))
    np.savez("alone.npz", matrix=W)
    assert run("alone.npz --steps 4")[0] == 0


@pytest.mark.parametrize(
    ("options", "method", "exists"),
    [
        ("--layers 4,6,3 --activation relu", "region", True),
        ("--layers 4,6,3", "product", False),
        ("--layers 4,6,3 --activation identity --init he", "one matrix", True),
        ("--net net.toml --seed 3", "region", True),
    ],
)
def test_network(run, tmp_path, options, method, exists):
    (tmp_path / "net.toml").write_text('layers = [4, 5, 2]\nactivation = "leakyrelu"\n')
    code, out, err = run(options)
    assert (code, err) == (0, "")
    assert f"method     {method}\n" in out
    assert out.splitlines()[3].startswith("There is a closed" if exists else "There is no closed")
    assert json.loads(run(f"{options} --json")[1])["exists"] is exists


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "give one of"),
        ("W.npy --layers 3,2 --steps 4", "give one of"),
        ("W.npy", "--steps says how often"),
        ("--layers 3,2 --steps 4", "--steps goes with a matrix"),
        ("gone.npy --steps 4", "there is no file 'gone.npy'"),
        ("W.txt --steps 4", "ending of 'W.txt'"),
        ("wide.npy --steps 4", "W has shape (2, 3)"),
        ("text.csv --steps 4", "holds text"),
        ("no.npz --steps 4", "no array 'W'"),
        ("broken.npz --steps 4", "broken.npz cannot be read"),
        ("pickled.npy --steps 4", "pickled.npy cannot be read"),
        ("W.npy --steps 0", "steps is 0"),
        ("W.npy --steps 4 --activation tahn", "did you mean 'tanh'"),
        ("--net net.toml --activation relu", "give either --net or --layers"),
    ],
)
def test_bad_input_is_one_line(run, tmp_path, text, says):
    np.save("W.npy", W)
    np.save("wide.npy", np.ones((2, 3)))
    np.save("pickled.npy", np.array([{}], dtype=object))
    np.savez("no.npz", A=W, B=W)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "text.csv").write_text("1,a\n2,3\n4,a\n")
    code, out, err = run(text)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
