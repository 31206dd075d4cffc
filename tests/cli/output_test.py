"""Where a command writes is looked at before the work, and nothing is lost after it."""

import errno
import os
import re

import pytest

from pullback.cli import main
from pullback.cli.output import output, store
from pullback.errors import ConfigError, StorageError
from pullback.files import write_atomically
from pullback.train import checkpoint

TRAIN = ["train", "--epochs", "1", "--quiet", "--layers", "64,3,10"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder; its exit code and the line that it says on stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        with pytest.raises(SystemExit) as end:
            main(args)
        return end.value.code, capsys.readouterr().err

    return call


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize(
    "command",
    [
        [*TRAIN, "--save"],
        ["report", "--out"],
        ["forecast", "--layers", "4,3,2", "--svg"],
        ["bench", "--json"],
    ],
)
def test_what_is_no_file_is_refused_before_the_work(run, tmp_path, command):
    os.mkfifo(tmp_path / "pipe")
    assert run(*command, "pipe") == (
        2,
        "pullback: cannot write pipe: it is a pipe; expected the path of a file\n",
    )
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_is_read_is_not_written(run, tmp_path):
    (tmp_path / "d.csv").write_text("a,b\n1,2\n2,1\n")
    (tmp_path / "link").symlink_to("d.csv")
    for place in ("d.csv", "link"):
        code, said = run("train", "d.csv", "--save", place)
        assert code == 2
        assert f"{place} is read by this command; write to another file" in said
    assert (tmp_path / "d.csv").read_text() == "a,b\n1,2\n2,1\n"
    with pytest.raises(ConfigError):
        output(tmp_path / "d.csv", "digits", None, tmp_path / "d.csv")
    output(tmp_path / "new", "digits", "a\0b", "x" * 300)


def test_parameters_that_cannot_be_saved_where_they_should_are_saved_elsewhere(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv("PULLBACK_CACHE", "off")  # the first file to be written is the one to save
    sync, spare = os.fsync, tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spare))
    calls = []

    def full_once(handle):
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", full_once)
    code, said = run(*TRAIN, "--save", "net.safetensors")
    assert code == 2
    assert "No space left on device" in said
    where = re.search(r"; it is in (\S+) instead", said)[1]
    assert checkpoint.load(where)[0]["0.weight"].shape == (3, 64)
    assert not (tmp_path / "net.safetensors").exists()


def test_what_can_be_written_nowhere_says_so(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="free some space"):
        store(tmp_path / "net", lambda path: write_atomically(path, b"x"))
