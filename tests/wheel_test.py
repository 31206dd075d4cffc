"""The wheel holds all that the package needs, and runs outside of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email import message_from_string
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("pullback", "pyproject.toml", "README.md", "LICENSE"):
        target = source / name
        target.parent.mkdir(exist_ok=True)
        copy = ["cp", "-r"] if (ROOT / name).is_dir() else ["cp"]
        subprocess.run([*copy, str(ROOT / name), str(target)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", str(folder), str(source)],
        check=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_every_file_of_the_package_is_in_it(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pullback").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert files - held == set()
    assert {name.split("/")[0] for name in held} == {
        "pullback", f"pullback-{PROJECT['version']}.dist-info",
    }  # fmt: skip


def test_it_says_what_it_is(wheel):
    name = f"pullback-{PROJECT['version']}.dist-info/METADATA"
    told = message_from_string(zipfile.ZipFile(wheel).read(name).decode())
    assert told["Description-Content-Type"] == "text/markdown"
    assert told["License-Expression"] == "MIT"
    assert told["Requires-Python"] == ">=3.11"
    needed = [each for each in told.get_all("Requires-Dist") if "extra ==" not in each]
    assert all(re.search(r"[<>=]=", each) for each in needed), "a dependency without a bound"
    assert not [each for each in needed if each.startswith(("torch", "jax", "onnx"))]


def test_versions_agree():
    import pullback

    assert pullback.__version__ == PROJECT["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The command in a fresh environment, which borrows the dependencies of this one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    python = next(p for p in (folder / "bin/python", folder / "Scripts/python.exe") if p.exists())
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps",
         "--no-index", str(wheel)],
        check=True,
    )  # fmt: skip
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    # files that point elsewhere are not followed from there: pullback itself is the wheel's
    (Path(own.stdout.strip()) / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python.with_name("pullback" + python.suffix)


def outside(tmp_path):
    """The environment of a process that knows nothing of the repository."""
    held = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "COVERAGE"))}
    return {**held, "PULLBACK_CACHE": str(tmp_path / "cache")}


def test_it_writes_a_report_outside_of_the_repository(installed, tmp_path):
    args = ["report", "--layers", "64,8,10", "--epochs", "3", "--quiet"]
    done = subprocess.run(
        [installed, *args], cwd=tmp_path, env=outside(tmp_path), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report.html").stat().st_size > 1e6


STORIES = {  # what the README's table sets out to do, and what its commands print
    "learn or": re.escape("δ₁ = (W₂ᵀ δ₂) ⊙"),
    "torch": "fix: leave the Softmax out",
    "Jacobians": re.escape("tangent kernel (80, 80)"),
    "backward": r"WRONG at W\[.*def value_and_grad",
    "table": r"RMSE .* 442 predictions of progression",
}


def stories():
    """The rows of the README's table: what a person wants, and the commands in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| you want to |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        wanted, commands, _ = row.strip("| ").split(" | ")
        yield wanted, re.findall(r"`([^`]+)`", commands)


def test_there_are_five_stories_of_at_most_three_commands():
    found = dict(stories())
    assert len(found) == len(STORIES) == 5
    assert all(1 <= len(commands) <= 3 for commands in found.values())
    assert all(sum(key in wanted for wanted in found) == 1 for key in STORIES)


@pytest.mark.parametrize("story", STORIES)
def test_each_story_comes_to_its_result_in_a_fresh_environment(story, installed, tmp_path):
    if story == "torch":
        pytest.importorskip("torch")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = os.pathsep.join([str(installed.parent), os.environ["PATH"]])
    held = outside(tmp_path) | {"PATH": path, "PYTHONIOENCODING": "utf-8"}
    told = []
    (commands,) = (commands for wanted, commands in stories() if story in wanted)
    for command in commands:
        program, *args = shlex.split(command)
        done = subprocess.run(
            [installed.with_name(program + installed.suffix), *args], cwd=tmp_path, env=held,
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        found = done.returncode == 1 and program == "pullback" and args[0] == "doctor"
        assert done.returncode == 0 or found, done.stderr  # 1: there is something to fix
        told.append(done.stdout)
    assert re.search(STORIES[story], " ".join(" ".join(told).split())), told


def test_it_serves_the_page_to_explore(installed, tmp_path):
    process = subprocess.Popen(
        [installed, "explore", "--no-open"], cwd=tmp_path, env=outside(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = None
        while address is None:
            line = process.stdout.readline()
            assert line, "it ended before it said where it is"
            address = re.search(r"http://127\.0\.0\.1:\d+\S*", line)
        with urlopen(address[0]) as page:
            assert "<title>" in page.read().decode()
    finally:
        process.terminate()
        process.wait()
