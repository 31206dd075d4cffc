"""What lies on disk is whole or refused, and nothing learnt is lost: kills, races, faults, lies.

Each campaign ends each try in what is right or in a PullbackError, and prints one line of counts.
"""

import errno
import hashlib
import hmac
import json
import os
import random
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.errors import PullbackError, StorageError
from pullback.machine.object.cache import Cache, Entry
from pullback.machine.object.secret import secret
from pullback.train import checkpoint as files

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(20, 3)), RNG.integers(0, 2, 20)
NET = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)), pb.CrossEntropy())
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PREPARED = """
import os, random, signal, sys, time
import numpy as np
import pullback as pb
from pullback.errors import PullbackError

folder, count, engine = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rng, moment = np.random.default_rng(0), random.Random(2)
X, Y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
net = pb.Network(pb.Sequential(pb.Linear(4, 5), pb.Tanh(), pb.Linear(5, 3)), pb.CrossEntropy())
path = os.path.join(folder, "net.safetensors")

def train(path, epochs, resume=False):
    optimizer = pb.optim.Adam(pb.optim.Cosine(0.05, steps=3000))
    return pb.fit(net, X, Y, optimizer=optimizer, epochs=epochs, batch_size=16, seed=1,
                  checkpoint=path, resume=resume, progress=False, engine=engine)

def epochs_done():
    return len(pb.train.checkpoint.load(path)[1]["history"]["loss"]) if os.path.exists(path) else 0

def same(found, expected):
    for name, value in expected.params.items():
        assert np.array_equal(found.params[name], value), name
    for name in ("loss", "accuracy", "learning_rate"):
        assert found.history[name] == expected.history[name], name

train(os.path.join(folder, "warm"), 1)  # compiled and imported once, before the children are born
os.unlink(os.path.join(folder, "warm"))
"""
KILLS = """
done = []
for _ in range(count):
    before = epochs_done()
    child = os.fork()
    if child == 0:
        train(path, 1_000_000, resume=True)
        os._exit(1)  # never reached
    while epochs_done() == before:
        time.sleep(0.002)
    time.sleep(moment.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
    done.append(epochs_done())
assert done == sorted(set(done)), done
total = done[-1] + 3
same(train(path, total, resume=True), train(None, total))
found = sorted(os.listdir(folder))
assert found == ["net.1.safetensors", "net.2.safetensors", "net.safetensors"], found
print(f"{engine}: {count} kills, {done[-1]} epochs, the bits of a training that was never killed")
"""
RACES = """
ends = {0: 0, 1: 0}
expected = train(None, 8)
for each in range(count):
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            time.sleep(random.random() * 0.06)  # also while the other one writes or ends
            try:
                same(train(path, 8, resume=moment.random() < 0.5), expected)
            except PullbackError as fault:
                os._exit(1 if "is in use by" in str(fault) else 3)
            except BaseException:
                os._exit(4)
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert 0 in codes and {*codes} <= {0, 1}, codes
    for code in codes:
        ends[code] += 1
    same(train(path, 8, resume=True), expected)
    assert sorted(os.listdir(folder)) == ["net.1.safetensors", "net.2.safetensors",
                                          "net.safetensors"]
print(f"{count} races: {ends[0]} trained, {ends[1]} were told who holds the path")
"""


def run(script, folder, count, engine):
    done = subprocess.run(
        [sys.executable, "-c", PREPARED + script, str(folder), str(count), engine],
        capture_output=True,
        text=True,
        cwd=Path(pb.__file__).parent.parent,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)


@forks
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_killed_at_random_moments_training_ends_as_if_never_killed(tmp_path, size, engine):
    run(KILLS, tmp_path, size(3, 500), engine)


@forks
def test_of_two_trainings_on_one_path_one_holds_it(tmp_path, size):
    run(RACES, tmp_path, size(4, 200), "numpy")


def fit(path, epochs=3, **options):
    given = {"epochs": epochs, "batch_size": 8, "progress": False, "checkpoint": path}
    return pb.fit(NET, X, Y, optimizer=pb.optim.Adam(0.05), engine="numpy", **given, **options)


def check_same(found, expected):
    for name, value in expected.params.items():
        np.testing.assert_array_equal(found.params[name], value)
    assert found.history["loss"] == expected.history["loss"]


def outcome(action):
    """What an action gives, or the error of ours that it ends in."""
    try:
        return action(), None
    except PullbackError as fault:
        return None, fault


CALLS = ("open", "fsync", "replace", "link", "stat", "unlink", "close", "chmod", "scandir")


def disk_faults(folder, count, seed, patch):
    """Trainings in which some call of the operating system fails, once or from then on."""
    rng, ends = random.Random(seed), Counter()
    expected, path = fit(None, 5), folder / "net.safetensors"
    for _ in range(count):
        for each in folder.iterdir():
            each.unlink()
        epochs = rng.randrange(1, 4)
        fit(path, epochs)
        name, number = rng.choice(CALLS), rng.choice([errno.ENOSPC, errno.EIO, errno.EACCES])
        first, forever = rng.randrange(20), rng.random() < 0.5
        with patch.context() as faulty:
            real, calls = getattr(os, name), []

            def call(
                *args, real=real, calls=calls, first=first, forever=forever, number=number, **named
            ):
                if str(folder) in str(args[:1]) or not isinstance(args[0], (str, Path)):
                    calls.append(1)
                    if len(calls) - 1 == first or (forever and len(calls) > first):
                        raise OSError(number, os.strerror(number))
                return real(*args, **named)

            faulty.setattr(os, name, call)
            try:
                check_same(fit(path, 5, resume=True), expected)
                ends["trained"] += 1
            except StorageError as fault:
                ends["kept" if fault.params is not None else "refused"] += 1
                if fault.params is not None:
                    check_same(fault.result, fit(None, len(fault.result.history["loss"])))
            except PullbackError:
                ends["refused"] += 1
        check_same(fit(path, 5, resume=True), expected)
    return f"{count} disk faults: " + ", ".join(f"{n} {end}" for end, n in sorted(ends.items()))


def test_whatever_fails_nothing_learnt_is_lost(tmp_path, size, monkeypatch):
    print(disk_faults(tmp_path, size(40, 2000), 0, monkeypatch))


def damaged(rng, content):
    """The content with something wrong with it."""
    content, at = bytearray(content), rng.randrange(len(content))
    match rng.randrange(6):
        case 0:
            content[at] ^= 1 << rng.randrange(8)
        case 1:
            del content[at:]
        case 2:
            del content[at : at + rng.randrange(1, 9)]
        case 3:
            content[at:at] = rng.randbytes(rng.randrange(1, 9))
        case 4:
            content += rng.randbytes(rng.randrange(1, 99))
        case 5:
            length = rng.choice([0, 1, 8, len(content), 2**31, 2**63 - 1, 2**64 - 1])
            content[:8] = struct.pack("<Q", length)
    return bytes(content)


def forged_entry(rng, content):
    """An entry of other code, signed as well as anybody can who does not know the key."""
    body = bytearray(content[:-32])
    body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    keys = [b"", bytes(32), rng.randbytes(32), b"pullback"]
    signed = rng.choice(
        [hashlib.sha256(body).digest(), hmac.digest(rng.choice(keys), body, "sha256")]
    )
    return bytes(body) + signed


def cache_entries(folder, count, seed):
    """Entries that were damaged or forged: none is believed."""
    rng, cache, entry = random.Random(seed), Cache(folder), Entry(bytes(range(256)) * 8, {"a": [1]})
    cache.put("key", entry)
    (path,) = folder.glob("*.code")
    content, refused = path.read_bytes(), 0
    for _ in range(count):
        wrong = rng.choice([damaged, forged_entry])(rng, content)
        path.write_bytes(wrong)
        assert cache.get("key") == (entry if wrong == content else None)
        refused += wrong != content
    path.write_bytes(content)
    assert cache.get("key") == entry
    return f"{count} damaged and forged entries of the cache: {refused} refused"


def test_no_forged_entry_is_believed(tmp_path, size, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert len(secret()) == 32
    print(cache_entries(tmp_path / "cache", size(100, 6000), 0))


HOSTILE = [
    None, True, -1, 0, 3, 2**70, -(2**70), 0.5, float("nan"), float("inf"), 1e308, "", "x",
    "\ud800", [], {}, [[]], [None], ["x"], [1.0], {"a": 1}, [float("nan")], [1e400], {"loss": []},
]  # fmt: skip


def places(value, path=()):
    """The way to each value within some facts."""
    yield path
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inside in pairs:
        yield from places(inside, (*path, key))


def forged_facts(rng, arrays, facts):
    """Facts with one value that is another, or missing."""
    facts = json.loads(json.dumps(facts))
    *way, last = rng.choice([path for path in places(facts) if path])
    inside = facts
    for key in way:
        inside = inside[key]
    if isinstance(inside, dict) and rng.random() < 0.3:
        del inside[last]
        if rng.random() < 0.5:
            inside[str(rng.random())] = rng.choice(HOSTILE)
    else:
        inside[last] = rng.choice(HOSTILE)
    return arrays, facts


def forged_arrays(rng, arrays, facts):
    """Arrays of which one has another name, shape, dtype or value, or is missing, or too many."""
    name = rng.choice(sorted(arrays))
    value = arrays[name]
    other = rng.choice([
        value.reshape(-1)[:-1], value[None], value.astype(np.float32), value * np.nan,
        np.full_like(value, np.inf), np.zeros(0), np.array(1.0), np.zeros((*value.shape, 2)),
    ])  # fmt: skip
    match rng.randrange(3):
        case 0:
            return {**arrays, name: other}, facts
        case 1:
            return {key: held for key, held in arrays.items() if key != name}, facts
        case _:
            extra = rng.choice(["fit.best.0.weight", "fit.x", "x", "0.weight.x", "fit.fit.mean"])
            return {**arrays, extra: other}, facts


def checkpoints(folder, count, seed):
    """Checkpoints that were damaged, or forged with a digest that fits."""
    rng, ends = random.Random(seed), Counter()
    path, expected = folder / "net.safetensors", fit(None, 4)
    fit(pb.Checkpoints(path, keep=1), 2)
    content, (arrays, facts) = path.read_bytes(), files.load(path)
    for _ in range(count):
        how = rng.choice([damaged, forged_facts, forged_arrays])
        if how is damaged:
            path.write_bytes(damaged(rng, content))
        else:
            held, told = how(rng, arrays, facts)
            files.save(path, held, **told)
        wrong = path.read_bytes()
        found, fault = outcome(lambda: fit(pb.Checkpoints(path, keep=1), 4, resume=True))
        if found is None:
            assert str(path) in str(fault), fault
            assert path.read_bytes() == wrong, "a file that was refused has been changed"
            ends["refused"] += 1
            continue
        if how is damaged or how is forged_arrays:  # what is noticed by its digest or its shape
            check_same(found, expected)
        assert all(np.isfinite(value).all() for value in found.params.values())
        assert {len(column) for column in found.history.values()} == {4}
        ends["trained"] += 1
    return f"{count} wrong checkpoints: {ends['refused']} refused, {ends['trained']} harmless"


def test_a_wrong_checkpoint_is_refused(tmp_path, size):
    print(checkpoints(tmp_path, size(150, 4000), 0))


def foreign_header(rng, header):
    """The header of a safetensors file with a lie in it, as text."""
    name = rng.choice([key for key in header if key != "__metadata__"])
    entry = dict(header[name])
    field = rng.choice(sorted(entry))
    entry[field] = rng.choice([
        *HOSTILE, "F8_E4M3", "C64", "I64", "BOOL", "BF16", "F16", "F64", [2**62, 2**62], [0, 2**62],
        [-1, 4], [4, 0], [0, 2**64 - 1], [1] * 100,
    ])  # fmt: skip
    text = json.dumps({**header, name: entry})
    if rng.random() < 0.2:
        text = f"{text[:-1]}, {json.dumps(name)}: {json.dumps(header[name])}}}"
    if rng.random() < 0.1:
        text = "[" * rng.choice([10, 1000, 100_000]) + text
    return text.encode()


def safetensors_files(folder, count, seed):
    """Files of another program's that were damaged, or lie."""
    from safetensors.numpy import save

    rng, ends, path = random.Random(seed), Counter(), folder / "net.safetensors"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2)}
    content = save(arrays)
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for _ in range(count):
        if rng.random() < 0.5:
            wrong = damaged(rng, content)
        else:
            text = foreign_header(rng, header)
            wrong = struct.pack("<Q", len(text)) + text + content[8 + length :]
        path.write_bytes(wrong)
        read, fault = outcome(lambda: files.load(path))
        if read is None:
            assert str(path) in str(fault), fault
            ends["refused"] += 1
        else:  # a file that is right in itself, though it says something else
            found, told = read
            assert told == {}
            assert {value.dtype.name for value in found.values()} <= {"float32", "float64"}
            ends["read"] += 1
    return f"{count} wrong safetensors files: {ends['refused']} refused, {ends['read']} read"


def test_a_wrong_safetensors_file_is_refused(tmp_path, size):
    print(safetensors_files(tmp_path, size(200, 5000), 0))
