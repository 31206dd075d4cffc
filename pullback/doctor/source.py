"""The line of code that a part of a training comes from, found in the file that makes it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pullback.doctor.frames import line_of, outside
from pullback.doctor.surgery import module_at

Origin = tuple[str, str]  # a file, and the name that a value has there

# where a finding may be, beside the paths of the module's parts: what the caller names so
ELSEWHERE = {"loss": "loss", "optimizer": "optimizer", "epochs": "epochs", "data": "X",
             "batch_size": "batch_size", "data.X": "X", "data.Y": "Y"}  # fmt: skip


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
        return (_found(own[0], None, [own[1]]) if own else "") or self.call


def _bound(frames: list[FrameType], value: Any) -> Origin | None:
    if value is None or isinstance(value, int):  # many names are bound to one of these
        return None
    for frame in frames:
        for name, other in (*frame.f_locals.items(), *frame.f_globals.items()):
            if other is value:
                return frame.f_code.co_filename, name
    return None


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
            return _found(code.co_filename, type(owner).__name__, names[depth:])
    if origin is None:
        return ""
    file, name = origin
    return _found(file, None, [name, *names])


def _found(file: str, kind: str | None, names: list[str]) -> str:
    try:
        tree: ast.AST = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return ""
    if kind is not None:
        classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == kind]
        if not classes:
            return ""
        tree = classes[-1]
    line = _line(tree, names)
    return f"{Path(file).name}:{line}" if line is not None else ""


def _line(tree: ast.AST, names: list[str]) -> int | None:
    """The line where a name is set, or, where none is asked for, of ``forward``."""
    for node in ast.walk(tree):
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
