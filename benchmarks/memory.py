"""How much memory does training on data larger than memory take?

    python benchmarks/memory.py --gigabytes 4

Writes a file of so many gigabytes (float32, 1,024 features, 10 classes), then trains on it in new
processes, one a way of reading it, for one epoch each, and prints the peak of the resident memory.
The file is deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FEATURES, CLASSES, BATCH = 1024, 10, 256
ROWS_AT_ONCE = 64 * BATCH
WAYS = {
    "import": "import pullback and SciPy, one step, no data",
    "memmap": "pb.fit(net, np.memmap, Y)",
    "batches": "pb.fit(net, a function that makes batches)",
    "parquet": "pb.fit(net, pyarrow.dataset.dataset, 'label')",
    "array": "pb.fit(net, the map as an array, Y): for comparison",
}


def write(name: str, rows: int) -> None:
    """The data as a raw file and as Parquet files, with labels that can be learnt."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, rng = Path(name), np.random.default_rng(0)
    teacher = rng.normal(size=(FEATURES, CLASSES)).astype(np.float32)
    names = [f"x{i}" for i in range(FEATURES)]
    labels = []
    (folder / "parquet").mkdir()
    with open(folder / "x.bin", "wb") as file:
        for number, at in enumerate(range(0, rows, ROWS_AT_ONCE)):
            x = rng.standard_normal((min(ROWS_AT_ONCE, rows - at), FEATURES), np.float32)
            file.write(x.data)
            labels.append((x @ teacher).argmax(axis=1))
            if number % 4 == 0:  # a quarter of it: Parquet is slow to write, and nothing changes
                columns = dict(zip(names, x.T, strict=True)) | {"label": labels[-1]}
                table = pa.table({name: np.ascontiguousarray(c) for name, c in columns.items()})
                path = folder / "parquet" / f"{number:05}.parquet"
                pq.write_table(table, path, compression="none", use_dictionary=False)
    np.save(folder / "y.npy", np.concatenate(labels))


def train(way: str, folder: Path, engine: str) -> dict[str, Any]:
    """One epoch, read in one way: samples, seconds, the loss, and this process's peak in MB."""
    import resource

    import pullback as pb

    model = pb.Sequential(pb.Linear(FEATURES, 128), pb.ReLU(), pb.Linear(128, CLASSES))
    net = pb.Network(model, loss=pb.CrossEntropy())
    y = np.load(folder / "y.npy")
    mapped = np.memmap(folder / "x.bin", np.float32, "r", shape=(len(y), FEATURES))

    def batches() -> Iterator[tuple[Any, Any]]:
        with open(folder / "x.bin", "rb") as file:
            for at in range(0, len(y), BATCH):
                target = y[at : at + BATCH]
                flat = np.fromfile(file, np.float32, len(target) * FEATURES)
                yield flat.reshape(-1, FEATURES), target

    data: tuple[Any, Any] = (mapped, y)
    if way == "import":
        data = (np.array(mapped[:BATCH]), y[:BATCH])
    elif way == "batches":
        data = (batches, None)
    elif way == "parquet":
        from pyarrow import dataset

        data = (dataset.dataset(folder / "parquet"), "label")
    elif way == "array":
        data = (np.asarray(mapped), y)
    result = pb.fit(
        net, *data, optimizer=pb.optim.Adam(1e-3), epochs=1, batch_size=BATCH, engine=engine
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    history = {name: values[0] for name, values in result.history.items()}
    return {"way": way, "peak_MB": peak, **history}


def machine() -> str:
    """The processor's name, and how many of it there are."""
    cpu = Path("/proc/cpuinfo")
    names = (
        [row.split(": ")[1] for row in cpu.open() if "model name" in row] if cpu.exists() else []
    )
    return f"{names[0].strip() if names else platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--gigabytes", type=float, default=4.0)
    asked.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    asked.add_argument("--engine", default="numpy")
    asked.add_argument("--folder", type=Path, help="where the file is written; a temporary one")
    asked.add_argument("--json", type=Path, help="write the numbers here too")
    asked.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = asked.parse_args()
    rows = int(given.gigabytes * 2**30 / (4 * FEATURES))
    if given.child:
        way, folder = given.child
        told = train(way, Path(folder), given.engine) if way != "write" else write(folder, rows)
        print(json.dumps(told))
        return
    found = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        # the peak of a process counts from that of its parent, so this one stays small
        command = [sys.executable, __file__, *sys.argv[1:], "--child"]
        subprocess.run([*command, "write", name], check=True, stdout=subprocess.DEVNULL)
        print(f"{rows:,} × {FEATURES} float32, {given.gigabytes:g} GiB; {machine()}")
        for way in given.ways:
            child = subprocess.run(
                [*command, way, name], check=True, stdout=subprocess.PIPE, text=True
            )
            told = json.loads(child.stdout)
            found.append(told)
            print(
                f"{WAYS[way]:52} peak {told['peak_MB']:7,.0f} MB  epoch {told['seconds']:6.1f} s"
                f"  loss {told['loss']:.3f}"
            )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
