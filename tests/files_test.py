"""A file is written whole, where its path leads, and nothing else is touched."""

import errno
import multiprocessing
import os
import resource
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ConfigError, DataError, PullbackError, StorageError
from pullback.files import LOCK, PART, locked, writable, write_atomically
from pullback.train import checkpoint

NET = pb.Network(pb.Linear(2, 1), loss=pb.SquaredError())
X, Y = np.random.default_rng(0).normal(size=(12, 2)), np.ones((12, 1))
posix = pytest.mark.skipif(os.name != "posix", reason="files as POSIX has them")


def report(path):
    pb.report(NET, X, Y, path, epochs=1, batch_size=4, progress=False)


WRITERS = {
    "content": lambda path: write_atomically(path, b"content"),
    "parameters": lambda path: checkpoint.save(path, NET.init(0)),
    "checkpoint": lambda path: pb.fit(
        NET, X, Y, epochs=1, batch_size=4, progress=False, checkpoint=path
    ),
    "onnx": lambda path: pb.to_onnx(NET, NET.init(0), path),
    "report": report,
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
QUICK = [name for name in WRITERS if name not in ("onnx", "report")]
quick_writers = pytest.mark.parametrize("write", [WRITERS[name] for name in QUICK], ids=QUICK)


@contextmanager
def as_a_user():
    """Not as root, who may do everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_folder(tmp_path, tmp_path_factory):
    """A folder that every user can reach and write to."""
    tmp_path_factory.getbasetemp().parent.chmod(0o755)
    for each in (tmp_path_factory.getbasetemp(), tmp_path):
        each.chmod(0o755)
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def make(kind, path):
    """Something that is no regular file."""
    match kind:
        case "device":
            if os.geteuid():
                pytest.skip("only root makes devices")
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # what /dev/null is
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(path.name)
        case "loop":
            path.symlink_to(path.name)


@posix
@quick_writers
@pytest.mark.parametrize("kind", ["device", "pipe", "socket", "loop"])
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, monkeypatch, write, kind):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    path, link = tmp_path / "place", tmp_path / "link"
    make(kind, path)
    link.symlink_to(path)
    before = path.lstat()
    for each in (path, link):
        with pytest.raises(StorageError) as caught:
            write(each)
        assert str(each) in str(caught.value)
    assert path.lstat() == before
    assert link.is_symlink()
    assert not list(tmp_path.glob(f"*{PART}"))


def test_a_report_and_a_model_go_to_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("onnx", "report"):
        with pytest.raises(StorageError, match="it is a pipe"):
            WRITERS[name](tmp_path / "pipe")


@pytest.mark.filterwarnings("ignore:compiled code is not cached")  # nor can that be written
def test_a_report_that_cannot_be_written_keeps_what_was_learnt(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="free some space") as caught:
        report(tmp_path / "page.html")
    assert len(caught.value.result.history["loss"]) == 1
    assert caught.value.params["weight"].shape == (1, 2)


@every_writer
def test_a_link_is_followed_and_stays(tmp_path, write):
    (tmp_path / "other").mkdir()
    target, link, far = tmp_path / "other" / "real.x", tmp_path / "link.x", tmp_path / "far.x"
    target.write_bytes(b"old")
    link.symlink_to(Path("other") / "real.x")
    far.symlink_to(link)
    write(far)
    assert far.is_symlink()
    assert link.is_symlink()
    assert target.read_bytes() not in (b"", b"old")
    assert {each.name for each in tmp_path.iterdir()} == {"other", "link.x", "far.x"}
    target.unlink()
    write(far)  # a link to what is not there yet is followed, too
    assert far.is_symlink()
    assert target.stat().st_size


@posix
@quick_writers
def test_permissions_stay_and_other_names_keep_the_old_content(tmp_path, write):
    path, other = tmp_path / "net.x", tmp_path / "other"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    other.hardlink_to(path)
    before = path.stat()
    write(path)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_mtime_ns >= before.st_mtime_ns
    assert other.read_bytes() == b"old"
    assert path.read_bytes() != b"old"


@posix
def test_a_new_file_has_the_usual_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "usual", b"")
        write_atomically(tmp_path / "private", b"", mode=0o600)
    finally:
        os.umask(old)
    assert (tmp_path / "usual").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


@posix
@quick_writers
def test_a_file_or_a_folder_that_is_read_only_is_refused(open_folder, write):
    path = open_folder / "net.x"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with as_a_user(), pytest.raises(StorageError, match="choose a place that you can write to"):
        write(path)
    path.chmod(0o666)
    open_folder.chmod(0o555)
    with as_a_user(), pytest.raises(StorageError, match="Permission denied"):
        write(path)
    assert path.read_bytes() == b"old"
    assert list(open_folder.iterdir()) == [path]


@posix
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs two users")
def test_another_users_link_to_nothing_is_a_trap_where_everybody_may_write(open_folder, tmp_path):
    open_folder.chmod(0o1777)
    link = open_folder / "report.html"
    link.symlink_to(tmp_path / "victim")
    os.chown(link, 65534, 65534, follow_symlinks=False)
    os.chown(open_folder, 1234, 1234)
    with pytest.raises(StorageError, match="another user's link"):
        write_atomically(link, b"x")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("", ConfigError, "expected the path of a file"),
        (7, ConfigError, "the path is 7"),
        (None, ConfigError, "the path is None"),
        ("a\0b", StorageError, "null"),
        ("x" * 300, StorageError, "choose a shorter name"),
        ("no/such/net.x", StorageError, "there is no folder no/such; create it"),
        (".", StorageError, "it is a folder"),
        ("/", StorageError, "it is a folder"),
        ("file/net.x", StorageError, "there is no folder"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path, monkeypatch, path, kind, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for function in (writable, lambda path: write_atomically(path, b"")):
        with pytest.raises(kind, match=said):
            function(path)


@quick_writers
def test_names_as_long_as_a_name_can_be_are_written(tmp_path, write):
    path = tmp_path / ("ñ" * 120 + ".x")
    write(path)
    write(path)
    assert path.exists()


@quick_writers
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(
    tmp_path, monkeypatch, write, number
):
    path = tmp_path / "net.x"
    path.write_bytes(b"old")

    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageError) as caught:
        write(path)
    assert caught.value.errno == number
    assert isinstance(caught.value, DataError)  # as in 0.1
    assert isinstance(caught.value, OSError)
    assert path.read_bytes() == b"old"
    assert [each for each in os.listdir(tmp_path) if each.endswith((PART, LOCK))] == []


@posix
def test_a_limit_on_the_size_of_files_is_our_error(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="ulimit -f"):
            write_atomically(tmp_path / "net.x", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_ctrl_c_amid_a_write_leaves_the_file(tmp_path, monkeypatch):
    path = tmp_path / "net.x"
    path.write_bytes(b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_is_held_by_one_at_a_time(tmp_path):
    path = tmp_path / "net.x"
    with locked(path):
        for _ in range(2):
            told = pytest.raises(StorageError, match=f"in use by process {os.getpid()} on ")
            with told, locked(path):
                pass
        with locked(tmp_path / "other"):
            pass
    with locked(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_what_it_leads_to_are_held_as_one(tmp_path):
    path, link = tmp_path / "net.x", tmp_path / "link.x"
    path.touch()
    link.symlink_to(path)
    with locked(link), pytest.raises(StorageError, match="in use"), locked(path):
        pass


HOLDER = """
import os, sys
from pullback.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), 9)
"""


@posix
def test_what_a_killed_process_held_is_free(tmp_path):
    path = tmp_path / "net.x"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], **pipes)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match=f"process {holder.pid} on"), locked(path):
        pass
    holder.communicate("\n")
    with locked(path):
        pass
    assert list(tmp_path.iterdir()) == []


def _count(path, turns):
    for _ in range(turns):
        with locked(path, patience=60):
            path.write_text(str(int(path.read_text()) + 1))


def test_turns_are_taken(tmp_path):
    path = tmp_path / "number"
    path.write_text("0")
    context = multiprocessing.get_context("spawn")
    many = [context.Process(target=_count, args=(path, 15)) for _ in range(3)]
    for each in many:
        each.start()
    for each in many:
        each.join()
    assert path.read_text() == "45"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "[", "{}", '{"process": "x"}', "[" * 100000, "\x00"])
def test_a_lock_that_says_nonsense_is_still_a_lock(tmp_path, content):
    path = tmp_path / "net.x"
    with locked(path):
        (tmp_path / f".net.x{LOCK}").write_text(content)
        with pytest.raises(StorageError, match="in use by another process"), locked(path):
            pass


def test_every_error_of_ours_says_what_to_do(tmp_path):
    with pytest.raises(PullbackError, match="; create it, or choose another path"):
        writable(tmp_path / "no" / "net.x")
