"""A peer in a process of its own, as the benchmark holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pullback.bench.absent import AbsentError
from pullback.bench.stopwatch import Lap
from pullback.bench.task import BenchmarkTask

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


class Process:
    """One peer that waits in its own process until it is told to go.

    The threads of one peer that look for work do not disturb another one there.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._faults = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "pullback.bench.child", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._faults,
            env=environment(threads),
        )

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def prepare(self, task: BenchmarkTask) -> float | None:
        """Make the peer and run its first pass; the mean loss of that.

        Raises AbsentError where it cannot take part.
        """
        loss: float | None = self._asked({"prepare": task.to_dict()})["loss"]
        return loss

    def go(self, seconds: float) -> Lap:
        """Time it for so long. Raises AbsentError where it cannot go on."""
        return Lap(**self._asked({"go": seconds}))

    def _asked(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise AbsentError(f"its process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "absent" in answer:
            raise AbsentError(answer["absent"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._faults.seek(0)
        lines = self._faults.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"

    def close(self) -> None:
        """End it, and wait until it is gone."""
        self._process.kill()
        self._process.communicate()
        self._faults.close()


def environment(threads: int) -> dict[str, str]:
    """What tells each library how many threads it may use, and that there is no other device."""
    several, here = str(threads > 1).lower(), str(Path(__file__).parents[2])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
        **dict.fromkeys(_VARIABLES, str(threads)),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={several}",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # its other processes would go on in the background
    }
