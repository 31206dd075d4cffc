"""The line of code that a part of a training comes from, found in the file that makes it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pullback.doctor.frames import line_of, outside
from pullback.doctor.surgery import module_at

# where a finding may be, beside the paths of the module's parts: what the caller names so
ELSEWHERE = {"loss": "loss", "optimizer": "optimizer", "epochs": "epochs", "data": "X",
             "batch_size": "batch_size", "data.X": "X", "data.Y": "Y"}  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """A file, a name in it, and the first line of the function that has it (0: the module)."""

    file: str
    name: str
    function: int = 0

    def line(self, *path: str) -> str:
        """The line where the value is made, or the part of it at a path; empty if not found."""
        return _found(self.file, _scope(self.function), [self.name, *path])


@dataclass(frozen=True)
class Written:
    """Where the values of a training got their names, and the line that asked the doctor."""

    names: Mapping[str, Origin]
    call: str = ""

    @classmethod
    def by_caller(cls, **values: Any) -> Written:
        """As the nearest caller outside of pullback that has a name for a value calls it."""
        frames = list(outside())
        names = {what: own for what, value in values.items() if (own := _bound(frames, value))}
        return cls(names, line_of(frames[0]) if frames else "")

    def line(self, module: Any, place: str) -> str:
        """``file.py:12`` for a place; empty where that is not found."""
        if place not in ELSEWHERE:
            return line_of_part(module, "" if place == "model" else place, self.names.get("module"))
        own = self.names.get(ELSEWHERE[place])
        return (own.line() if own is not None else "") or self.call


def _bound(frames: list[FrameType], value: Any) -> Origin | None:
    """The nearest name of a value that is set where it stands, and is no argument; else any."""
    if value is None or isinstance(value, int):  # many names are bound to one of these
        return None
    found = []
    for frame in frames:
        code = frame.f_code
        inside = 0 if code.co_name == "<module>" else code.co_firstlineno
        for held, function in ((frame.f_locals, inside), (frame.f_globals, 0)):
            found += [Origin(code.co_filename, n, function) for n, v in held.items() if v is value]
    return next((each for each in found if each.line()), found[0] if found else None)


def line_of_part(module: Any, path: str, origin: Origin | None) -> str:
    """The line of the part at a path.

    ``hidden.0`` is looked for where ``self.hidden`` is set, in the class of the nearest part above
    that is no class of torch's, or where the module got its name; an item of a list or a Sequential
    is looked for between the brackets.
    """
    names = path.split(".") if path else []
    for depth in range(len(names), -1, -1):
        owner = module_at(module, ".".join(names[:depth]))
        code = getattr(getattr(type(owner), "forward", None), "__code__", None)
        if code is not None and not type(owner).__module__.startswith("torch."):
            return _found(code.co_filename, _class(type(owner).__name__), names[depth:])
    return "" if origin is None else origin.line(*names)


def _found(file: str, nodes: Callable[[ast.Module], Iterable[ast.AST]], names: list[str]) -> str:
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return ""
    line = _line(nodes(tree), names)
    return f"{Path(file).name}:{line}" if line is not None else ""


def _class(name: str) -> Callable[[ast.Module], Iterable[ast.AST]]:
    """All that stands in the last class of a name."""

    def nodes(tree: ast.Module) -> Iterable[ast.AST]:
        classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name]
        return ast.walk(classes[-1]) if classes else ()

    return nodes


def _scope(first: int) -> Callable[[ast.Module], Iterable[ast.AST]]:
    """What stands in the function that begins at a line, decorators included; 0 for the module."""

    def nodes(tree: ast.Module) -> Iterable[ast.AST]:
        if not first:
            return _inside(tree)
        made = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        begins = (min(n.lineno, *(d.lineno for d in n.decorator_list), n.lineno) for n in made)
        return next((_inside(n) for n, at in zip(made, begins, strict=True) if at == first), ())

    return nodes


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or a module, without the functions and classes inside of it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from _inside(child)


def _line(nodes: Iterable[ast.AST], names: list[str]) -> int | None:
    """The line where a name is set, or, where none is asked for, of ``forward``."""
    for node in nodes:
        if not names and isinstance(node, ast.FunctionDef) and node.name == "forward":
            return node.lineno
        if names and isinstance(node, ast.Assign):
            for target in node.targets:
                if (value := _set(target, node.value, names[0])) is not None:
                    return _item(value, names[1:]).lineno
    return None


def _set(target: ast.expr, value: ast.expr, name: str) -> ast.expr | None:
    """The value that a target gives to ``name`` or ``self.name``, if it does."""
    if isinstance(target, ast.Tuple):
        values = value.elts if isinstance(value, ast.Tuple) else [value] * len(target.elts)
        pairs = zip(target.elts, values, strict=False)
        return next((v for t, given in pairs if (v := _set(t, given, name))), None)
    own = getattr(target, "attr", None) or getattr(target, "id", None)
    return value if own == name else None


def _item(value: ast.expr, names: list[str]) -> ast.expr:
    """The item of a list, or the argument of a call, that the rest of a path counts to."""
    if not names or not names[0].isdigit():
        return value
    held: list[ast.expr] = []
    if isinstance(value, ast.Call):
        held = value.args
        if len(held) == 1 and isinstance(held[0], ast.List):
            held = held[0].elts
    elif isinstance(value, ast.List | ast.Tuple):
        held = value.elts
    at = int(names[0])
    if at >= len(held) or any(isinstance(each, ast.Starred) for each in held[: at + 1]):
        return value
    return _item(held[at], names[1:])
