"""How much memory does training take: on data larger than memory, and under a limit?

    python benchmarks/memory.py --gigabytes 4
    python benchmarks/memory.py --limits [--batch 32]

Writes a file of so many gigabytes (float32, 1,024 features, 10 classes), then trains on it in new
processes, one a way of reading it, for one epoch each, and prints the peak of the resident memory.
The file is deleted at the end.

With ``--limits``: a ResNet-20 on 3×32×32 and a transformer of six layers (width 64, 64 tokens), in
float32, under limits from all that a step needs to the least. Each limit has a process of its own,
which makes a step, then traces the bytes of the next one (tracemalloc, as NumPy tells it) and takes
the least time of seven more, with and without the limit in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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


def networks() -> dict[str, Callable[[int], tuple[Any, Any, Any]]]:
    """The network, a batch and its targets of each name, for a number of samples."""
    import pullback as pb

    def normed(n_in: int, n_out: int, taps: int, stride: int) -> list[Any]:
        options = dict(stride=stride, padding=taps // 2, bias=False)
        return [pb.Conv2d(n_in, n_out, taps, **options), pb.BatchNorm2d(n_out)]

    def block(n_in: int, n_out: int, stride: int) -> list[Any]:
        inner = [*normed(n_in, n_out, 3, stride), pb.ReLU(), *normed(n_out, n_out, 3, 1)]
        if n_in == n_out:
            return [pb.Residual(pb.Sequential(*inner)), pb.ReLU()]
        shorter = pb.Sequential(*normed(n_in, n_out, 1, stride))
        return [pb.Parallel(pb.Sequential(*inner), shorter, join="sum"), pb.ReLU()]

    def resnet(samples: int) -> tuple[Any, Any, Any]:
        blocks = [*normed(3, 16, 3, 1), pb.ReLU()]
        for n_in, n_out, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
            blocks += block(n_in, n_out, stride) + block(n_out, n_out, 1) + block(n_out, n_out, 1)
        blocks += [pb.AdaptiveAvgPool2d(1), pb.Flatten(), pb.Linear(64, 10)]
        x = "channels=3 height=32 width=32"
        net = pb.Network(pb.Sequential(*blocks), loss=pb.CrossEntropy(), x=x)
        rng = np.random.default_rng(0)
        images = rng.standard_normal((samples, 3, 32, 32), np.float32)
        return net, images, rng.integers(0, 10, samples)

    def transformer(samples: int) -> tuple[Any, Any, Any]:
        layers = (pb.TransformerEncoderLayer(64, 4, 256, dropout=0.0) for _ in range(6))
        model = pb.Sequential(pb.Embedding(96, 64), *layers, pb.Linear(64, 96))
        net = pb.Network(model, loss=pb.CrossEntropy(), x="tokens=64:index")
        rng = np.random.default_rng(0)
        return net, rng.integers(0, 96, (samples, 64)), rng.integers(0, 96, (samples, 64))

    return {"ResNet-20": resnet, "transformer, 6 layers": transformer}


def limited(name: str, limit: int, samples: int) -> dict[str, Any]:
    """A step under a limit: the peak that is traced, and its time beside one without a limit."""
    import tracemalloc

    net, X, Y = networks()[name](samples)
    params = net.init(0, dtype=np.float32)
    value, slopes = net.value_and_grad(params, X, Y)
    again, same = net.value_and_grad(params, X, Y, memory=limit)
    equal = value == again and all(np.array_equal(same[n], slopes[n]) for n in slopes)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    net.value_and_grad(params, X, Y, memory=limit)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    seconds: dict[Any, list[float]] = {None: [], limit: []}
    for _ in range(7):
        for memory in seconds:
            started = time.process_time()
            net.value_and_grad(params, X, Y, memory=memory)
            seconds[memory].append(time.process_time() - started)
    free, bound = (min(each) for each in seconds.values())
    return {"peak": peak, "ratio": bound / free, "equal": bool(equal), "seconds": bound}


def print_limits(samples: int) -> list[dict[str, Any]]:
    """The ladder of each network, planned and measured."""
    import pullback as pb

    found = []
    for name, made in networks().items():
        net, X, _ = made(samples)
        plan = pb.plan_memory(net, X.shape, "1 TB", dtype=np.float32)
        print(f"{name}, batch {samples}, float32; {machine()}")
        print("  limit MB   planned  measured  of limit  more work  time  same bits")
        for rung in plan.rungs[1:]:
            command = [sys.executable, __file__, "--limited", name, str(rung.limit), str(samples)]
            child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            told = json.loads(child.stdout)
            found.append({"network": name, **vars(rung), "measured": told["peak"], **told})
            print(
                f"{rung.limit / 1e6:10.1f}{rung.peak / 1e6:10.1f}{told['peak'] / 1e6:10.1f}"
                f"{told['peak'] / rung.limit:10.1%}{rung.extra:11.1%}{told['ratio']:6.2f}"
                f"{'yes' if told['equal'] else 'NO':>11}",
                flush=True,
            )
    return found


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
    asked.add_argument("--limits", action="store_true", help="steps under limits of memory")
    asked.add_argument("--batch", type=int, default=32, help="samples of such a step")
    asked.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked.add_argument("--limited", nargs=3, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.limited:
        name, limit, samples = given.limited
        print(json.dumps(limited(name, int(limit), int(samples))))
        return
    if given.limits:
        ladder = print_limits(given.batch)
        if given.json:
            given.json.write_text(json.dumps(ladder, indent=1))
        return
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
