"""Rounds are interleaved, ratios are those of medians, and who is missing is named."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest
from rich.console import Console

from pullback.bench.absent import AbsentError
from pullback.bench.benchmark import Benchmark
from pullback.bench.stopwatch import Lap
from pullback.bench.table import show
from pullback.bench.task import CASES, TrainingTask

TASK = TrainingTask((4, 3, 2), 8, "relu", "sgd")
ADAM = TrainingTask((4, 3, 2), 8, "relu", "adam")


class Acting:
    """A runner that follows a script: seconds a pass round by round, or an error."""

    def __init__(self, name: str, diary: list[str], script: Any, loss: float | None = 0.5) -> None:
        self.name, self.diary, self.loss = name, diary, loss
        self.script, self.alive, self.prepared = script, True, 0

    def prepare(self, task: TrainingTask) -> float | None:
        self.prepared += 1
        self.rounds = iter(self.script)
        if isinstance(self.loss, str):
            raise AbsentError(self.loss)
        return self.loss

    def go(self, seconds: float) -> Lap:
        self.diary.append(self.name)
        found = next(self.rounds)
        if isinstance(found, BaseException):
            self.alive = not isinstance(found, AbsentError)
            raise found
        return found if isinstance(found, Lap) else Lap(found, quiet=True)

    def close(self) -> None:
        self.diary.append(f"{self.name} closed")


def measured(
    runners: dict[str, Any], *tasks: TrainingTask, rounds: int = 3
) -> tuple[Any, list[str]]:
    """What a benchmark of these scripts finds, and who went when."""
    diary: list[str] = []
    with Benchmark(
        list(runners), rounds, start=lambda name: Acting(name, diary, **runners[name])
    ) as b:
        b.run(tasks)
    return b.found, diary


def test_rounds_are_interleaved_and_medians_taken() -> None:
    scripts = {
        "pullback": dict(script=[1.0, 9.0, 2.0]),
        "torch": dict(script=[6.0, 5.0, Lap(70.0, quiet=False)]),
    }
    found, diary = measured(scripts, TASK)
    assert diary == [*["pullback", "torch"] * 3, "pullback closed", "torch closed"]
    (row,) = found.rows
    assert row.seconds == {"pullback": 2.0 / TASK.batches, "torch": 6.0 / TASK.batches}
    assert row.ratio("torch") == 3.0
    assert (found.measurements, found.disturbed) == (6, 1)
    assert "16.7 % of 6 measurements were disturbed" in " ".join(found.remarks())
    assert found.verdict() == (
        "pullback is the fastest in 1 of 1; on average torch takes 3.0× as long."
    )


def test_who_cannot_take_part_is_named_and_a_dead_process_starts_again() -> None:
    scripts: dict[str, Any] = {
        "pullback": dict(script=[1.0, 1.0]),
        "jax.jit": dict(script=[], loss="jax is not installed"),
        "torch": dict(script=[2.0, AbsentError("its process ended")]),
    }
    found, diary = measured(scripts, TASK, ADAM, rounds=2)
    assert found.complete
    assert ("jax.jit", "", "jax is not installed") in found.absent
    assert "jax.jit is left out: jax is not installed" in found.remarks()
    assert diary.count("torch closed") == 3  # after each task, and at the end
    assert [row.ratio("torch") for row in found.rows] == [2.0, 2.0]
    assert [row.ratio("jax.jit") for row in found.rows] == [None, None]


def test_an_interruption_leaves_what_was_measured() -> None:
    scripts: dict[str, Any] = {
        "pullback": dict(script=[1.0, 1.0]),
        "torch": dict(script=[2.0, KeyboardInterrupt()]),
    }
    diary: list[str] = []
    start = lambda name: Acting(name, diary, **scripts[name])  # noqa: E731
    with Benchmark(list(scripts), 2, start=start) as b, pytest.raises(KeyboardInterrupt):
        b.run([TASK, ADAM])
    assert diary[-2:] == ["pullback closed", "torch closed"]
    assert not b.found.complete
    assert [row.task for row in b.found.rows] == [TASK]
    assert b.found.rows[0].ratio("torch") == 2.0
    assert b.found.remarks()[0].startswith("Stopped at 1 of 2")


def test_losses_that_differ_are_said() -> None:
    scripts = {
        "pullback": dict(script=[1.0], loss=0.5),
        "floor": dict(script=[0.5], loss=None),
        "torch": dict(script=[2.0], loss=0.51),
    }
    found, _ = measured(scripts, TASK, rounds=1)
    assert not found.rows[0].agree
    assert found.remarks()[0] == "4-3-2 relu sgd: the losses differ: pullback 0.5, torch 0.51"
    assert found.verdict().endswith("It takes 2.00 × the matrix products alone.")


def test_table_markdown_and_json_say_the_same_in_80_columns() -> None:
    tasks = [TrainingTask(*CASES[-1], "tanh", "momentum"), TrainingTask(*CASES[-1], "relu", "adam")]
    names = ("pullback", "floor", "torch", "torch.compile", "jax.jit", "jax.scan", "sklearn")
    scripts: dict[str, Any] = {name: dict(script=[1.0 * k]) for k, name in enumerate(names, 1)}
    found, _ = measured(scripts, *tasks, rounds=1)
    output = io.StringIO()
    show(found, Console(file=output, width=200))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    (line,) = [line.split() for line in lines if line.strip().startswith("tanh, momentum")]
    assert line[-6:] == ["2.0×", "3.0×", "4.0×", "5.0×", "6.0×", "7.0×"]
    header, _, row, *_ = found.markdown().splitlines()
    assert header.split(" | ")[3:] == [*names[1:-1], f"{names[-1]} |"]
    assert row.split(" | ")[-2:] == ["6.0×", "7.0× |"]
    data = json.loads(json.dumps(found.to_dict()))
    times = data["rows"][0]["microseconds"]
    assert math.isclose(times["sklearn"] / times["pullback"], 7.0)
    assert data["complete"]
    assert data["rows"][0]["same_loss"]


def test_nothing_measured_is_no_error() -> None:
    found, _ = measured({"pullback": dict(script=[], loss="no luck")}, TASK)
    assert found.rows == ()
    assert found.verdict() == "Nothing was measured beside pullback."
    show(found, Console(file=io.StringIO()))
    assert found.markdown()


def test_each_peer_counts_with_the_number_of_threads_that_serves_it_best() -> None:
    seconds = {("pullback", 1): 4.0, ("pullback", 2): 2.0, ("torch", 1): 6.0, ("torch", 2): 8.0}
    diary: list[str] = []
    seats = iter(seconds)

    def start(name: str) -> Acting:
        seat = next(seats)
        assert seat[0] == name
        return Acting(name, diary, [seconds[seat]])

    with Benchmark(["pullback", "torch"], 1, [1, 2], start=start) as b:
        b.run([TASK])
    (row,) = b.found.rows
    assert row.ratio("torch") == 3.0
    assert row.threads == {"pullback": 2, "torch": 1}
    assert "Threads of torch: 1 in 1 of 1." in b.found.remarks()
    assert "1 or 2 threads each, whichever is faster" in b.found.machine


def test_everything_is_measured_again_until_the_medians_settle() -> None:
    diary: list[str] = []
    laps = iter([1.0, 3.0, 3.01, 3.0, 9.0])  # medians: 1, 2, 3, 3

    class Drifting(Acting):
        def go(self, seconds: float) -> Lap:
            return Lap(next(laps), quiet=True)

    with Benchmark(["pullback"], 1, start=lambda name: Drifting(name, diary, [])) as b:
        b.run_until_settled([TASK], most=9)
        assert b.found.measurements == 4
        assert b.found.rows[0].seconds["pullback"] == pytest.approx(3.0 / TASK.batches, rel=0.01)
        assert b.found.planned == 1
