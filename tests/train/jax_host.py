"""One of several processes of a training, as a test starts it: ADDRESS PROCESSES PROCESS OPTIONS.

OPTIONS is JSON: which kind of data, in which folder, and what goes to fit. The result is printed by
process 0, as JSON. After the epoch that "kill", "interrupt" or "stop" names, process 1 is killed,
interrupted, or ends the training; "odd" holds other options for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

import pullback as pb

COUNT = 70
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(COUNT, 3)), RNG.integers(0, 2, COUNT)
NET = pb.Network(
    pb.Sequential(pb.Linear(3, 8), pb.Tanh(), pb.Dropout(0.2), pb.Linear(8, 2)),
    loss=pb.CrossEntropy(),
)


def written(folder: Path) -> None:
    """The data as files: rows of NumPy's, and two Parquet files of row groups of eight rows."""
    np.save(folder / "x.npy", X)
    for at, rows in enumerate((slice(0, 41), slice(41, COUNT))):
        columns = {f"x{k}": X[rows, k] for k in range(3)} | {"y": Y[rows]}
        rounded = {
            n: c.astype(np.float32) if c.dtype.kind == "f" else c for n, c in columns.items()
        }
        pq.write_table(pa.table(rounded), folder / f"part{at}.parquet", row_group_size=8)


def data(kind: str, folder: Path) -> tuple[Any, Any]:
    """The samples of a kind as ``fit`` takes them."""
    if kind == "mapped":
        return np.load(folder / "x.npy", mmap_mode="r"), Y
    if kind == "parquet":
        return ds.dataset(sorted(folder.glob("*.parquet"))), "y"
    if kind == "stream":
        return lambda: ((X[at : at + 16], Y[at : at + 16]) for at in range(0, COUNT, 16)), None
    return X, Y


def main(address: str, processes: int, process: int, options: dict[str, Any]) -> None:
    given = (None,) * 3 if address == "found" else (address, processes, process)
    assert pb.join_processes(*given, timeout=300) == (process, processes)
    kind, folder = options.pop("kind", "memory"), Path(options.pop("folder", "."))
    kill, odd = options.pop("kill", None), options.pop("odd", {})
    stop, interrupt = options.pop("stop", None), options.pop("interrupt", None)

    def callback(epoch: int, params: Any, history: Any) -> None:
        if epoch == kill and process == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if epoch == interrupt and process == 1:
            os.kill(os.getpid(), signal.SIGINT)
        if epoch == stop and process == 1:
            raise StopIteration("process 1 has seen enough")

    x, y = data(kind, folder)
    given = dict(optimizer=pb.optim.SGD(0.1, momentum=0.9), batch_size=16, progress=False)
    options = given | options | (odd if process == 1 else {})
    result = pb.fit(NET, x, y, engine="jax", callback=callback, **options)
    if process == 0:
        params = {name: value.tolist() for name, value in result.params.items()}
        print(json.dumps(result.to_dict() | {"params": params}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
