"""A checkpoint is whole or not there, and training goes on from it as if nothing had happened."""

import os
import signal

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ConfigError, DataError
from pullback.train import checkpoint as files
from pullback.train import training
from pullback.train.compiled_engine import CompiledEngine

O = pb.optim
RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(40, 4)), RNG.integers(0, 3, 40)
HELD_OUT = RNG.normal(size=(15, 4)), RNG.integers(0, 3, 15)
NET = pb.Network(pb.Sequential(pb.Linear(4, 5), pb.Tanh(), pb.Linear(5, 3)), loss=pb.CrossEntropy())


def fit(path, net=NET, x=X, y=Y, **options):
    given = {"epochs": 6, "batch_size": 16, "progress": False, "checkpoint": path, **options}
    return pb.fit(net, x, y, **given)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def check_same(found, expected):
    for name, value in expected.params.items():
        np.testing.assert_array_equal(found.params[name], value)
    assert found.history.keys() == expected.history.keys()
    for name, values in expected.history.items():
        if name != "seconds":
            assert found.history[name] == values, name


RUNS = [
    {"optimizer": O.SGD(0.1, momentum=0.9)},
    {"optimizer": O.Adam(O.OneCycle(0.05, steps=18)), "validation": HELD_OUT},
    {"optimizer": O.RMSProp(0.01, momentum=0.5), "sample_weight": RNG.uniform(0, 2, 40)},
    {"optimizer": O.AdamW(0.05), "shuffle": False},
    {"batch_size": None},
    {"optimizer": O.Adam(0.2), "validation": HELD_OUT, "early_stopping": 2, "epochs": 30},
    {"x": X.astype(np.float32)},
]


@pytest.mark.parametrize("options", RUNS)
@pytest.mark.parametrize("epochs", [1, 4])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(path, options, epochs):
    expected = fit(None, **options)
    fit(path, **{**options, "epochs": epochs})
    found = fit(path, resume=True, **options)
    check_same(found, expected)
    assert (found.stopped, found.best_epoch) == (expected.stopped, expected.best_epoch)
    check_same(fit(path, resume=True, **options), expected)  # there is nothing left to do


def test_ctrl_c_and_resume_lose_nothing(path):
    def impatient(epoch, params, history):
        if epoch == 2:
            raise KeyboardInterrupt

    assert fit(path, callback=impatient).interrupted
    check_same(fit(path, resume=True), fit(None))


@pytest.mark.parametrize("every", [1, 2])
def test_ctrl_c_amid_an_epoch_and_resume_lose_nothing(path, monkeypatch, every):
    run, calls = CompiledEngine.run, []

    def interrupted_run(self, *args):
        calls.append(1)
        if len(calls) == 11:  # of three an epoch
            os.kill(os.getpid(), signal.SIGINT)
        return run(self, *args)

    monkeypatch.setattr(training, "_CHUNK", 0.0)
    monkeypatch.setattr(CompiledEngine, "run", interrupted_run)
    interrupted = fit(pb.Checkpoints(path, every=every))
    assert interrupted.interrupted
    assert len(interrupted.history["loss"]) == 3
    monkeypatch.undo()
    check_same(fit(path, resume=True), fit(None))


def test_resume_begins_where_there_is_nothing_yet(path):
    check_same(fit(path, resume=True), fit(None))


def test_the_last_few_are_kept(path):
    fit(pb.Checkpoints(path, keep=3), epochs=5)
    kept = [path, path.with_name("net.1.safetensors"), path.with_name("net.2.safetensors")]
    assert sorted(path.parent.iterdir()) == sorted(kept)
    for age, file in enumerate(kept):
        params, facts = files.load(file)
        expected = fit(None, epochs=5 - age)
        assert facts["history"]["loss"] == expected.history["loss"]
        np.testing.assert_array_equal(params["0.weight"], expected.params["0.weight"])


def test_the_engine_of_the_checkpoint_goes_on(path):
    given = {"batch_size": 16, "shuffle": False}
    fit(path, epochs=2, engine="compiled", **given)
    longer = fit(path, epochs=4, resume=True, **given)
    check_same(longer, fit(None, epochs=4, engine="compiled", **given))


def test_a_folder_takes_a_checkpoint_of_a_fixed_name(tmp_path):
    fit(tmp_path, epochs=1)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_one_only_or_every_so_often(path):
    fit(pb.Checkpoints(path, keep=1), epochs=3)
    assert list(path.parent.iterdir()) == [path]
    written = []

    def note(epoch, params, history):
        written.append(len(files.load(path)[1]["history"]["loss"]))

    fit(pb.Checkpoints(path, every=3, keep=1), epochs=8, callback=note, seed=1)
    assert written[2:] == [3, 3, 3, 6, 6, 8]


def test_the_last_epoch_is_saved_wherever_training_ends(path):
    def enough(epoch, params, history):
        if epoch == 4:
            raise StopIteration

    fit(pb.Checkpoints(path, every=3), callback=enough)
    assert len(files.load(path)[1]["history"]["loss"]) == 5
    check_same(fit(path, resume=True), fit(None))
    result = fit(pb.Checkpoints(path, every=1000), optimizer=O.LBFGS(0.05), epochs=500)
    assert len(files.load(path)[1]["history"]["loss"]) == len(result.history["loss"]) < 500


def damaged(content, how):
    if how == "empty":
        return b""
    if how == "text":
        return b"these are no weights"
    if how.startswith("cut"):
        return content[: int(len(content) * float(how.split()[1]))]
    at = int(len(content) * float(how.split()[1]))
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


@pytest.mark.parametrize(
    "how",
    ["empty", "text", "cut 0.001", "cut 0.5", "cut 0.999"]
    + [f"flip {at}" for at in (0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999)],
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_resumes(path, how):
    fit(path, epochs=4)
    content = damaged(path.read_bytes(), how)
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        fit(path, resume=True)
    older = path.with_name("net.1.safetensors")
    assert f"{older} is whole, after 3 epochs: resume from that" in str(caught.value)
    assert path.read_bytes() == content
    check_same(fit(older, resume=True), fit(None))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"net": pb.Network(NET.model, pb.CrossEntropy(), l2=0.1)}, "its network is Network("),
        ({"net": pb.Network(pb.Linear(4, 3), pb.CrossEntropy())}, "its network is Network("),
        ({"optimizer": O.Adam(0.1)}, "its optimizer is SGD("),
        ({"optimizer": O.SGD(0.2, momentum=0.9)}, "its optimizer is SGD("),
        ({"x": X + 1e-9}, "its data is 40 samples"),
        ({"y": (Y + 1) % 3}, "its data is 40 samples"),
        ({"x": X[:-1], "y": Y[:-1]}, "here it is 39 samples"),
        (
            {"x": X.astype(np.float32)},
            "here it is float32 (also different: start, data",
        ),
        ({"batch_size": 8}, "its batch_size is 16, and here it is 8"),
        ({"seed": 1}, "its seed is 0, and here it is 1"),
        ({"shuffle": False}, "its shuffle is True"),
        ({"validation": HELD_OUT}, "its validation is none"),
        ({"early_stopping": 3}, "its early_stopping is None"),
        ({"class_weight": "balanced"}, "its sample_weight is none"),
        ({"sample_weight": np.arange(40.0)}, "its sample_weight is none"),
        ({"params": NET.init(7)}, "its start is"),
        ({"engine": "numpy"}, "its engine is compiled, and here it is numpy"),
        ({"epochs": 1}, "epochs is 1, but the checkpoint has been trained for 2"),
        ({"net": pb.Network(NET.model, pb.CrossEntropy("sum"))}, "its network is Network("),
        ({"optimizer": O.SGD(O.Cosine(0.1, 9), momentum=0.9)}, "its optimizer is SGD("),
        ({"optimizer": O.SGD(0.1, momentum=0.9, clip_norm=1.0)}, "its optimizer is SGD("),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(path, options, told):
    fit(path, epochs=2)
    content = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        fit(path, resume=True, **options)
    assert told in str(caught.value)
    assert path.read_bytes() == content


def test_parameters_alone_are_no_checkpoint(path):
    files.save(path, NET.init(0), accuracy=0.9)
    with pytest.raises(ConfigError, match="no state of a training"):
        fit(path, resume=True)


def test_what_scipy_does_cannot_be_resumed(path):
    fit(path, optimizer=O.LBFGS(), epochs=3)
    with pytest.raises(ConfigError, match="cannot be resumed"):
        fit(path, optimizer=O.LBFGS(), resume=True)


def test_a_write_that_fails_leaves_the_checkpoints_as_they_were(path, monkeypatch):
    fit(path, epochs=3)
    before = path.read_bytes()

    def no_space(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    for _ in range(3):  # however often it is tried, nothing older is pushed out
        with pytest.raises(DataError, match="No space"):
            fit(path, epochs=9, resume=True)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 3
    assert len(files.load(path.with_name("net.2.safetensors"))[1]["history"]["loss"]) == 2
    check_same(fit(path, resume=True), fit(None))


def test_what_a_killed_run_left_is_cleared_and_nothing_else(path):
    half = path.with_name(".net.safetensors.abc.part")
    other = path.with_name(".net.safetensors.swp")
    for file in (half, other):
        file.write_bytes(b"half")
    fit(path, epochs=1)
    assert sorted(path.parent.iterdir()) == sorted([path, other])


@pytest.mark.parametrize(
    ("checkpoint", "kind", "told"),
    [
        ("no/such/folder/net.safetensors", DataError, "there is no folder"),
        (7, ConfigError, "checkpoint is 7"),
        ("", ConfigError, "checkpoint is ''"),
    ],
)
def test_places_that_cannot_be_written_are_refused_before_work_starts(checkpoint, kind, told):
    epochs = []
    with pytest.raises(kind) as caught:
        fit(checkpoint, callback=lambda *args: epochs.append(args))
    assert told in str(caught.value)
    assert not epochs


def test_numbers_of_checkpoints_that_make_no_sense_are_refused():
    for options in ({"every": 0}, {"keep": 0}, {"keep": 1.5}):
        with pytest.raises(ConfigError):
            pb.Checkpoints("net.safetensors", **options)


def test_another_programs_file_can_be_read(path):
    from safetensors.numpy import save_file

    save_file({"w": np.arange(3.0)}, path, metadata={"format": "pt"})
    params, facts = files.load(path)
    np.testing.assert_array_equal(params["w"], np.arange(3.0))
    assert facts == {}
