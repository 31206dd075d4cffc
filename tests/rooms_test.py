"""Imports go down only.

The rooms of pullback stand on floors. A module imports from its own room and from rooms on lower
floors; rooms on one floor are siblings and do not know each other. Every import counts: inside
functions, under TYPE_CHECKING, and by `import_module` with a literal name.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pullback"

FACE = "__init__"
FLOORS = (  # from the ground up
    ("errors", "interrupt", "lazy", "notebook"),
    ("files", "foreign"),
    ("machine",),
    ("ir", "vmath"),
    ("laws",),
    ("nn",),
    ("calculus", "diagram"),
    ("emit",),
    ("net", "data"),
    ("interop",),
    ("train",),
    ("derive", "plan", "moments", "closed"),
    ("report", "doctor"),
    ("explore", "bench"),
    ("estimators", "cli"),
    (FACE,),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ONLY = {"laws": {"errors", "ir"}, "nn": {"errors", "ir"}}  # narrower than their floor allows

LONGEST = 420
TEXT = {".py", ".html", ".css", ".js"}
HEAVY = ("sympy", "scipy", "numba", "sklearn", "plotly", "torch", "jax")


@dataclass(frozen=True)
class Import:
    """One import of ours: where it stands, the module that it names, the function around it."""

    line: int
    target: str
    source: str
    function: str | None


def room_of(module: str) -> str:
    """The room of a dotted module name; `pullback` alone is the face."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else FACE


def module_of(path: Path, package: Path) -> str:
    """The dotted name of a file of the package."""
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def absolute(name: str, level: int, path: Path, package: Path) -> str:
    """The absolute dotted name of an import with `level` leading dots."""
    if level == 0:
        return name
    here = [package.name, *path.relative_to(package).parent.parts]
    return ".".join([*here[: len(here) - level + 1], *filter(None, [name])])


def targets(node: ast.AST, path: Path, package: Path) -> Iterator[str]:
    """The absolute names of the modules that a node imports."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            base = absolute(module or "", level, path, package)
            if base == package.name:  # `from pullback import ir` names a room, `Network` the face
                rooms = (f"{base}.{a.name}" if is_room(a.name, package) else base for a in names)
                yield from dict.fromkeys(rooms)
            else:
                yield base
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]):
            called = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if called in {"import_module", "__import__"}:
                dots = len(name) - len(name.lstrip("."))
                yield absolute(name.lstrip("."), dots, path, package)


def is_room(name: str, package: Path) -> bool:
    """Whether a name that is imported from the package is a module of it."""
    return name in FLOOR or (package / name).is_dir() or (package / f"{name}.py").is_file()


def imports(path: Path, package: Path) -> Iterator[Import]:
    """Every import of ours in a file, in order."""

    def visit(node: ast.AST, function: str | None) -> Iterator[Import]:
        for target in targets(node, path, package):
            if target.split(".")[0] == package.name:
                yield Import(node.lineno, target, ast.unparse(node), function)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            function = function or getattr(node, "name", "lambda")
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    yield from visit(ast.parse(path.read_text(encoding="utf-8"), str(path)), None)


def why_not(room: str, target: str) -> str | None:
    """Why `room` may not import the room `target`, or None where it may."""
    for name in (room, target):
        if name not in FLOOR:
            return f"the room {name!r} stands on no floor: give it one in FLOORS"
    if room == target:
        return None
    if room in ONLY and target not in ONLY[room]:
        return f"{room} imports no room but {' and '.join(sorted(ONLY[room]))}"
    if FLOOR[target] > FLOOR[room]:
        return f"{'the face' if target == FACE else target} is above {room}; imports go down only"
    if FLOOR[target] == FLOOR[room]:
        return f"{room} and {target} are siblings; what both need moves down a floor"
    return None


def may_load_late(room: str, function: str) -> bool:
    """Whether a function of the room loads other rooms on demand."""
    return room == "cli" or (room == FACE and function == "__getattr__")


def violations(package: Path) -> list[str]:
    """One line for each import of the package that breaks a rule: file, line, import, reason."""
    found = []
    for path in sorted(package.rglob("*.py")):
        room = room_of(module_of(path, package))
        if room not in FLOOR:
            found.append(f"{path}:1: {why_not(room, room)}")
            continue
        for entry in imports(path, package):
            where = f"{path}:{entry.line}: `{entry.source}`"
            if reason := why_not(room, room_of(entry.target)):
                found.append(f"{where}: {reason}")
            if entry.function and not may_load_late(room, entry.function):
                found.append(f"{where}: it hides in {entry.function}(); ours stand at the top")
    return found


def test_imports_go_down_only():
    found = violations(PACKAGE)
    assert not found, "\n".join(["", *found])


def test_no_file_is_long():
    lengths = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in TEXT
    }
    assert lengths
    long = [f"{path}: {n} lines, at most {LONGEST}" for path, n in lengths.items() if n > LONGEST]
    assert not long, "\n".join(["", *long])


def test_importing_pullback_loads_nothing_heavy():
    code = f"import sys, pullback; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], "`import pullback` loads these at once"


# The checker itself: planted files that it must reject, and some that it must let pass.


def plant(tmp_path: Path, file: str, code: str) -> Path:
    package = tmp_path / "pullback"
    path = package / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return package


@pytest.mark.parametrize(
    ("file", "code", "reason"),
    [
        ("ir/node.py", "import pullback.net", "net is above ir"),
        (
            "ir/node.py",
            "import numpy\nfrom pullback.calculus import factor",
            "calculus is above ir",
        ),
        ("ir/node.py", "from ..emit import numba", "emit is above ir"),
        ("ir/__init__.py", "from ..emit import numba", "emit is above ir"),
        ("ir/deep/node.py", "from ...nn.losses import SquaredError", "nn is above ir"),
        ("calculus/factor.py", "from pullback import net", "net is above calculus"),
        ("calculus/factor.py", "from .. import net", "net is above calculus"),
        ("train/fit.py", "import pullback as pb", "the face is above train"),
        ("train/fit.py", "from pullback import Network", "the face is above train"),
        ("cli.py", "def main():\n    from pullback import Network", "the face is above cli"),
        ("plan/chain.py", "from pullback.closed import form", "plan and closed are siblings"),
        ("derive/steps.py", "from ..moments import law", "derive and moments are siblings"),
        ("nn/blocks.py", "from pullback.laws import check", "nn imports no room but errors and ir"),
        ("laws.py", "from pullback.nn import Linear", "laws imports no room but errors and ir"),
        ("errors.py", "from .ir import node", "ir is above errors"),
        ("mystery.py", "import math", "'mystery' stands on no floor"),
        ("ir/node.py", "from pullback.mystery import x", "'mystery' stands on no floor"),
        (
            "ir/node.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pullback.net import fit",
            "net is above ir",
        ),
        ("ir/node.py", "import importlib\nimportlib.import_module('pullback.net')", "net is above"),
        ("train/fit.py", "def fit():\n    from pullback.ir import node", "it hides in fit()"),
        (
            "train/fit.py",
            "class A:\n    def go(self):\n        from . import b",
            "it hides in go()",
        ),
        ("__init__.py", "def load():\n    from pullback import ir", "it hides in load()"),
    ],
)
def test_planted_violation_is_rejected(tmp_path, file, code, reason):
    """The offending import is the last line of each planted file."""
    found = violations(plant(tmp_path, file, code))
    assert len(found) == 1, found
    assert reason in found[0]
    assert found[0].startswith(f"{tmp_path / 'pullback' / file}:{len(code.splitlines())}: ")


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("ir/node.py", "import numpy\nfrom pullback.errors import ShapeError\nfrom . import axis"),
        ("ir/node.py", "def f():\n    import sympy"),
        ("nn/blocks.py", "from pullback.ir.kinds import Node\nfrom ..errors import NameError_"),
        ("laws.py", "from .ir import evaluate"),
        ("derive/steps.py", "from pullback import calculus, ir\nfrom pullback.emit import numpy"),
        ("report/page.py", "from pullback.plan import Plan\nfrom pullback.closed import form"),
        ("cli.py", "def main():\n    from pullback.report import page"),
        ("__init__.py", "def __getattr__(name):\n    from pullback.train import fit"),
        ("__main__.py", "from pullback.cli import main"),
        ("ir/node.py", "import pullbacks\nimport importlib\nimportlib.import_module('json')"),
    ],
)
def test_lawful_import_passes(tmp_path, file, code):
    assert violations(plant(tmp_path, file, code)) == []
