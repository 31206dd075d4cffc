"""Damaged tables, archives and network files: each loads, or raises an error of ours."""

from __future__ import annotations

import io
import random
import time
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import pullback as pb
from pullback.data import load
from pullback.errors import PullbackError
from pullback.net.recipe import from_file

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"a": RNG.normal(size=40), "b": RNG.integers(0, 9, 40), "k": list("xyzw") * 10}
)
WORDS = [
    *(
        b"0",
        b"1e400",
        b"nan",
        b"-",
        b"NA",
        b",",
        b";",
        b"\t",
        b'"',
        b"\n",
        b"\r",
        b"\0",
        b"#",
        b"=",
    ),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x0b", b"9" * 400, b"[" * 2000, b"{" * 50),
    *(b"0x" + b"f" * 5000, b"1_0", "١".encode(), b"true", b"inf", b"residual", b"linear", b"300x9"),
    *(b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"PK\3\4", b"PAR1", b"\x93NUMPY", b"<f8", b"|O", b"<U0"),
]
NETWORKS = [
    b'layers = [4, 3, 2]\nactivation = "1.7*tanh(2*x/3)"\nloss = "mse"\nl2 = 1e-4\n',
    b'blocks = [{linear = [4, 3]}, "tanh", {residual = [{linear = [3, 3]}, {name = "leaky_relu", '
    b"slope = 0.1}], scale = 0.5}, {linear = [3, 2], bias = false}]\n"
    b'loss = {name = "cross_entropy", reduction = "sum"}\ninit = {name = "normal", std = 1}\n',
]
MOST_MEMORY = 200 * 2**20  # bytes; the files have some kilobytes


def originals(folder: Path) -> list[tuple[str, bytes]]:
    """Whole files, each with its ending."""
    FRAME.to_csv(folder / "t.csv", index=False)
    FRAME.to_parquet(folder / "t.parquet")
    indexed = pa.Table.from_pandas(FRAME.iloc[::-1]).append_column("d", pa.nulls(40, pa.int8()))
    pq.write_table(indexed, folder / "i.parquet", compression="gzip", row_group_size=7)
    np.savez(folder / "t.npz", X=FRAME[["a", "b"]], Y=FRAME.b, W=FRAME.k.to_numpy(str))
    np.savez_compressed(folder / "c.npz", X=np.zeros((40, 5, 5), np.uint8), Y=FRAME.k.to_numpy(str))
    files = ("t.csv", "t.parquet", "i.parquet", "t.npz", "c.npz")
    tables = [((folder / name).suffix, (folder / name).read_bytes()) for name in files]
    tables.append((".csv", FRAME.to_csv(sep=";", decimal=",").encode("utf-16")))
    return tables + [(".toml", text) for text in NETWORKS]


def mutated(content: bytes, random: random.Random) -> bytes:
    """The content with a few bytes changed, cut out, doubled or put in."""
    for _ in range(random.choice((1, 1, 1, 1, 1, 2, 3, 20))):
        at, end = sorted(random.randrange(len(content) + 1) for _ in range(2))
        word = random.choice(WORDS)
        match random.randrange(6):
            case 0 if content:
                at = min(at, len(content) - 1)
                content = content[:at] + bytes([random.randrange(256)]) + content[at + 1 :]
            case 1:
                content = content[:at] + word + content[at:]
            case 2:
                content = content[:at] + word + content[at + len(word) :]
            case 3:
                content = content[:at] + content[min(end, at + 30) :]
            case 4:
                content = content[:at] + content[at:end] * 2 + content[end:]
            case _ if random.random() < 0.2:
                content = content[:at]
    return content[: 2**18]


def npz_of(parts: list[bytes]) -> bytes:
    """An archive whose members are damaged, and whose checksums are right."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in zip(("X.npy", "Y.npy"), parts, strict=True):
            archive.writestr(name, content)
    return file.getvalue()


def members(content: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(name) for name in ("X.npy", "Y.npy")]


def read(path: Path, random: random.Random) -> None:
    if path.suffix == ".toml":
        from_file(str(path)).network(pb.SquaredError())
        return
    header = random.choice((None, None, True, False)) if path.suffix == ".csv" else None
    data = load(str(path), header=header)
    assert np.isfinite(data.X).all()
    assert len(data.X) == len(data.Y)
    if data.classes:
        assert data.Y.min() >= 0
        assert data.Y.max() < len(data.classes)
    else:
        assert np.isfinite(data.Y).all()


def campaign(count: int, seed: int, folder: Path) -> Counter[str]:
    """Mutate and read; how many were read, and how many refused, by ending."""
    source = random.Random(seed)
    whole = originals(folder)
    outcomes: Counter[str] = Counter()
    longest = 0.0
    for number in range(count):
        ending, content = whole[number % len(whole)]
        if ending == ".npz" and number % 3 == 0:
            content = npz_of([mutated(part, source) for part in members(content)])
        else:
            content = mutated(content, source)
        path = folder / f"mutated{ending}"
        path.write_bytes(content)
        started = time.perf_counter()
        try:
            read(path, source)
            outcomes[f"{ending} read"] += 1
        except PullbackError:
            outcomes[f"{ending} refused"] += 1
        except BaseException:  # shown, so that it can be looked at
            print(f"the file is {content!r}")
            raise
        longest = max(longest, time.perf_counter() - started)
    told = ", ".join(f"{n} {name}" for name, n in sorted(outcomes.items()))
    print(f"tables: {count} files, seed {seed}: {told}; the longest took {longest:.2f} s")
    return outcomes


def test_damaged_files_are_read_or_refused(size, tmp_path):
    tracemalloc.start()
    try:
        outcomes = campaign(size(300, 10_000), seed=1, folder=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()
    for ending in (".csv", ".parquet", ".npz", ".toml"):
        assert outcomes[f"{ending} refused"] > 0
        assert outcomes[f"{ending} read"] > 0
