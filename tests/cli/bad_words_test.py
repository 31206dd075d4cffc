"""A command line that asks for too much or for nothing: one line on stderr, exit code 2."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pullback.cli import main

TRAIN = ["train", "--epochs", "1", "-q"]


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*args):
        with pytest.raises(SystemExit) as left:
            main(list(args))
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return command


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--layers", "4,3x300000000,2"], "300,000,002 widths; expected at most 10,000"),
        (["--layers", "100000000,100000000"], "GiB of memory; there are"),
        (["--layers", "64,10x0,10"], "expected widths such as"),
        (["--layers", "64,10x-1,10"], "expected widths such as"),
        (["--layers", "1_0,10"], "expected widths such as"),
        (["--layers", "\u0661,10"], "expected widths such as"),
        (["--layers", "9" * 5000 + ",10"], "expected widths such as"),
        (["--layers", "0,10"], "expected widths such as"),
        (["--layers", ""], "expected widths such as"),
        (["--net", "x.py:"], "neither a .toml file nor file.py:name"),
        (["--net", "nosuch.py:net"], "there is no file 'nosuch.py'"),
        (["--net", "nosuch.toml"], "there is no file 'nosuch.toml'"),
        (["\ud800.csv"], "expected text in UTF-8"),
        (["--net", "\udcff.toml"], "expected text in UTF-8"),
        (["a\0.csv"], "without zeros"),
        (["/dev/null"], "unknown ending"),
        (["--seed", "-1"], "seed is -1; expected a whole number from 0"),
        (["--seed", str(2**32)], "seed is 4294967296; expected at most"),
        (["--test", "nan"], "test is nan"),
        (["--lr", "nan"], "learning_rate is nan"),
        (["--l2", "nan"], "l2 is nan"),
        (["--header"], "header goes with a .csv file"),
        (["--drop", "a"], "drop names columns of a table"),
    ],
)
def test_it_is_refused_before_work(run, args, said):
    code, out, err = run(*TRAIN, *args)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("pullback: ")
    assert err.count("\n") == 1
    assert len(err) < 1100


@pytest.mark.parametrize("command", ["derive", "plan"])
def test_every_command_reads_layers_alike(run, command):
    code, _, err = run(command, "--layers", "4,3x300000000,2")
    assert (code, err.count("\n")) == (2, 1)
    assert "expected at most 10,000" in err


def test_times_within_a_minute_are_told_apart_and_learnt(run, tmp_path):
    times = 1.7e9 + np.arange(400) * 0.15
    label = np.where(np.arange(400) < 200, "early", "late")
    rows = [f"{t:.2f},{each}" for t, each in zip(times, label, strict=True)]
    (tmp_path / "t.csv").write_text("time,when\n" + "\n".join(rows))
    code, out, err = run("train", "t.csv", "--epochs", "10", "-q", "--json")
    assert (code, err) == (0, "")
    assert '"test_accuracy": 1.0' in out or '"test_accuracy": 0.9' in out
    code, _, err = run("train", "t.csv", "--no-scale", "--epochs", "1", "-q")
    assert code == 2
    assert "different values, and 1 of them in float32" in err
    assert err.count("\n") == 1


def test_notes_are_printed_and_stand_in_the_json(run, tmp_path):
    text = "0,1,y\n" + "\n".join(f".5,{i / 3},{i % 2}" for i in range(20))
    (tmp_path / "t.csv").write_text(text)
    code, out, err = run("train", "t.csv", "--epochs", "1", "-q")
    assert (code, err) == (0, "")
    assert "note: the first line is read as the names: 0, 1, y\n" in out
    code, out, _ = run("train", "t.csv", "--epochs", "1", "-q", "--json", "--drop", "0")
    assert '"notes": [' in out
    code, out, _ = run("train", "t.csv", "--header", "--epochs", "1", "-q")
    assert "note: the first line" not in out


def test_values_beyond_float32_are_scaled_first(run, tmp_path):
    rows = [f"{i}e300,{i % 2}" for i in range(1, 41)]
    (tmp_path / "t.csv").write_text("x,y\n" + "\n".join(rows))
    assert run("train", "t.csv", "--epochs", "1", "-q")[0] == 0
    code, _, err = run("train", "t.csv", "--epochs", "1", "-q", "--no-scale")
    assert code == 2
    assert "too large for float32" in err


@pytest.mark.skipif(os.name != "posix", reason="needs pipes of POSIX")
@pytest.mark.parametrize("args", [["--help"], ["plan", "--layers", "9,8,7"]])
def test_a_closed_pipe_is_one_line(args):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pullback", *args], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert done.returncode == 2
    assert done.stderr == "pullback: the output was closed before all of it was written\n"
