"""Several processes on 127.0.0.1 train as one does; what goes wrong with them is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import jax_host
import numpy as np
import pytest
from jax_host import COUNT, NET, X, Y

import pullback as pb
from pullback.errors import ConfigError
from pullback.train.checkpoint import load
from pullback.train.jax.hosts import join_processes
from pullback.train.member import Member
from pullback.train.stream import Mapped, Parquet

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = Path(__file__).with_name("jax_host.py")
FIRST_PORT = 2**16 - 2**12  # of those that jax takes where it finds a cluster
PATIENCE = 570  # seconds after which a test gives up on its processes


def free_port(first: int = 0) -> int:
    """A port that nobody uses; from a first one on, or wherever there is one."""
    for port in range(first, 2**16) if first else [0]:
        with socket.socket() as place, suppress(OSError):
            place.bind(("127.0.0.1", port))
            return int(place.getsockname()[1])
    raise AssertionError("no port is free")


def slurm(port: int, processes: int, process: int) -> dict[str, str]:
    """What jax finds in a job of SLURM; its port follows from the job's number."""
    return {
        "SLURM_JOB_ID": str(port - FIRST_PORT), "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": str(processes), "SLURM_PROCID": str(process),
        "SLURM_LOCALID": str(process), "SLURM_STEP_NUM_NODES": "1",
    }  # fmt: skip


def open_mpi(port: int, processes: int, process: int) -> dict[str, str]:
    """What jax finds under mpirun of Open MPI."""
    return {
        "OMPI_MCA_orte_hnp_uri": f"{(port - FIRST_PORT) * 2**12}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": str(processes), "OMPI_COMM_WORLD_RANK": str(process),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(process),
    }  # fmt: skip


def started(
    address: str, processes: int, process: int, options: dict[str, Any], cluster: Any
) -> Any:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(paths)}
    env.pop("XLA_FLAGS", None)
    env |= {} if cluster is None else cluster(int(address), processes, process)
    where = address if cluster is None else "found"
    command = [sys.executable, str(HOST), where, str(processes), str(process)]
    return subprocess.Popen(
        [*command, json.dumps(options)],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def together(processes: int, cluster: Any = None, **options: Any) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each of several processes that train together."""
    port = free_port(0 if cluster is None else FIRST_PORT)
    address = f"127.0.0.1:{port}" if cluster is None else str(port)
    with ExitStack() as stack:
        children = [
            stack.enter_context(started(address, processes, process, options, cluster))
            for process in range(processes)
        ]
        found: list[Any] = [None] * processes

        def wait(at: int) -> None:
            try:
                out, err = children[at].communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                children[at].kill()
                out, err = children[at].communicate()
            found[at] = children[at].returncode, out, err

        threads = [threading.Thread(target=wait, args=(at,)) for at in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return found


def result(outcomes: list[tuple[int, str, str]]) -> Any:
    """What process 0 printed, if all went well; the others print nothing of theirs."""
    assert [code for code, _, _ in outcomes] == [0] * len(outcomes), outcomes
    lines = [[x for x in out.splitlines() if x.startswith("{")] for _, out, _ in outcomes]
    assert [len(each) for each in lines] == [1] + [0] * (len(outcomes) - 1), outcomes
    return json.loads(lines[0][0])


def alone(**options: Any) -> pb.FitResult:
    given = dict(optimizer=pb.optim.SGD(0.1, momentum=0.9), batch_size=16, progress=False)
    return pb.fit(NET, X, Y, engine="numpy", **given | options)


def agree(found: Any, expected: pb.FitResult) -> None:
    """Losses and weights, which the gradients have made, to 1e-12."""
    np.testing.assert_allclose(found["history"]["loss"], expected.history["loss"], rtol=1e-12)
    assert found["history"]["accuracy"] == expected.history["accuracy"]
    for name, value in expected.params.items():
        np.testing.assert_allclose(found["params"][name], value, rtol=1e-10, atol=1e-12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    jax_host.written(place)
    return place


def test_a_killed_process_ends_the_others_and_all_go_on_as_if_nothing_had_been(tmp_path):
    """Two processes, one killed; started again, as one and as two, they end where one ends."""
    path = tmp_path / "net.safetensors"
    (code, _, said), (killed, _, _) = together(2, epochs=10**6, kill=3, checkpoint=str(path))
    assert (killed, code) == (-9, 1), said
    assert "process 0 of 2 cannot go on, for another one is gone" in said
    epochs = len(load(path)[1]["history"]["loss"])
    assert epochs >= 3
    straight = alone(epochs=epochs + 2)
    kept = path.read_bytes()
    found = result(together(2, epochs=epochs + 2, checkpoint=str(path), resume=True))
    agree(found, straight)
    path.write_bytes(kept)
    one = pb.fit(
        NET, X, Y, engine="jax", optimizer=pb.optim.SGD(0.1, momentum=0.9), batch_size=16,
        epochs=epochs + 2, checkpoint=path, resume=True, progress=False,
    )  # fmt: skip
    agree({"history": one.history, "params": one.params}, straight)


def test_four_processes_train_as_one(tmp_path):
    """Seventy samples in batches of 18 go evenly over none of them; one ends the training."""
    given = dict(epochs=9, batch_size=18, stop=1, split_weights=True)
    found = result(together(4, open_mpi, **given, checkpoint=str(tmp_path)))
    agree(found, alone(epochs=2, batch_size=18))
    assert found["stopped"] == "process 1 has seen enough"
    assert [each.name for each in tmp_path.glob("*.safetensors")] != []


def test_a_data_set_over_two_processes_and_an_interrupt_of_one(folder):
    """Each has row groups of its own; Ctrl-C of one ends both at the same step."""
    outcomes = together(2, kind="parquet", folder=str(folder), epochs=10**6, interrupt=1)
    found = result(outcomes)
    assert found["interrupted"]
    x, y = jax_host.data("parquet", folder)
    expected = pb.fit(
        NET, x, y, engine="numpy", optimizer=pb.optim.SGD(0.1, momentum=0.9), batch_size=16,
        epochs=2, progress=False,
    )  # fmt: skip
    assert found["history"]["loss"] == pytest.approx(expected.history["loss"], rel=0.1)


def test_processes_that_disagree_are_told_who_and_what():
    outcomes = together(2, slurm, epochs=1, odd={"seed": 1})
    assert [code for code, _, _ in outcomes] == [1, 1]
    for _, _, said in outcomes:
        assert "process 1 trains something else than process 0: its seed is 1, and there" in said


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [16, 5, 70])
@pytest.mark.parametrize("kind", ["mapped", "parquet"])
def test_an_epoch_has_the_same_samples_for_any_number_of_processes(
    kind, size, processes, folder, monkeypatch
):
    """Each of them once, in as many steps, each process with its own rows, mixed by the seed."""
    monkeypatch.setattr("pullback.train.stream.PART", 24 * 3 * 8 * 2)
    x, y = jax_host.data(kind, folder)
    epochs: list[list[tuple[float, ...]]] = []
    randoms = [np.random.default_rng(7) for _ in range(processes)]
    for _ in range(2):
        rows, lengths = [], []
        for process, random in enumerate(randoms):
            member = Member(process, processes)
            source: Any = (
                Mapped(NET, x, y, size, None, member)
                if kind == "mapped"
                else Parquet(NET, x, y, size, member)
            )
            parts = []
            for samples in source.parts(random):
                parts.append(samples.count)
                if samples.together is None:
                    rows += samples.arrays["x"].tolist()
                    continue
                order = member.mixed(random, samples.count, min(size, samples.count))
                rows += samples.arrays["x"][order[order >= 0]].tolist()
            lengths.append(parts)
        assert all(each == lengths[0] for each in lengths)
        assert sum(lengths[0]) == COUNT
        assert all(each % size == 0 for each in lengths[0][:-1])
        assert sorted(np.float32(rows).tolist()) == sorted(np.float32(X).tolist())
        epochs.append(rows)
    if processes > 1:  # one alone is mixed by training
        assert epochs[0] != epochs[1]


def test_what_cannot_be_joined_is_told():
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{port}: Address alr"):
            join_processes(f"127.0.0.1:{port}", 2, 0)
    silent = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=f"coordinator at {silent} has not answered for 0.2 s"):
        join_processes(silent, 2, 1, timeout=0.2)
    with pytest.raises(ConfigError, match="coordinator is 'here'; expected HOST:PORT"):
        join_processes("here", 2, 1)
    with pytest.raises(ConfigError, match="process is 2 of 2; expected one from 0"):
        join_processes(silent, 2, 2)
    with pytest.raises(ConfigError, match="processes is 0; expected a whole number from 1"):
        join_processes(silent, 0, 0)
