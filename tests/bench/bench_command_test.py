"""``pullback bench`` and ``pullback train --profile``: options, output, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pullback.bench.benchmark import Benchmark
from pullback.cli import main

SMALL = ["--only", "4,3,5", "--batch-size", "8", "--activations", "relu", "--quiet"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(args))
        out, err = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, out, err

    return command


def test_bench_measures_and_writes_the_numbers(run: Command, tmp_path: Path) -> None:
    options = ["--optimizers", "sgd", "--peers", "pullback,sklearn", "--rounds", "1"]
    code, out, err = run("bench", *SMALL, *options, "--threads", "1", "--json", "found.json")
    assert (code, err) == (0, "")
    assert out.startswith("pullback is the fastest in 1 of 1")
    assert "All end their first pass with the same loss." in out
    assert max(map(len, out.splitlines())) <= 80
    (row,) = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert set(row["microseconds"]) == set(row["losses"]) == {"pullback", "sklearn"}


def test_what_was_measured_before_ctrl_c_is_shown(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Any, tasks: Any, tell: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Benchmark, "run", stop)
    code, out, _ = run("bench", *SMALL, "--peers", "floor")
    assert code == 0  # nothing was planned yet, so nothing is missing
    assert "Nothing was measured" in out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--peers", "torhc"], "unknown peer 'torhc': did you mean 'torch'?"),
        (["--optimizers", "adma"], "unknown optimizer 'adma': did you mean 'adam'?"),
        (["--activations", "gelu"], "unknown activation 'gelu'"),
        (["--rounds", "0"], "rounds is 0; expected a whole number from 1"),
        (["--threads", "0"], "threads is 0; expected a whole number from 1"),
        (["--only", "64"], "--only is '64'; expected two widths or more"),
        (["--json", "nowhere/found.json"], "there is no folder nowhere"),
    ],
)
def test_bad_options_are_one_line_before_any_work(
    run: Command, options: list[str], told: str
) -> None:
    code, out, err = run("bench", *options)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_train_tells_where_a_step_goes(run: Command) -> None:
    options = ["--layers", "64,4,10", "--epochs", "1", "--quiet", "--profile"]
    code, out, _ = run("train", *options, "--json")
    assert code == 0
    found = json.loads(out)["profile"]
    assert sum(found["microseconds"].values()) == pytest.approx(found["microseconds_a_step"])
    assert found["batch_size"] == 32
    code, out, _ = run("train", *options)
    assert code == 0
    table = out[out.index(" of a step; ") :]
    assert [line.split()[0] for line in table.splitlines()[4:]][-2:] == ["step", "floor"]
    assert max(map(len, out.splitlines())) <= 80
