"""The line of code that a part of a module comes from, found in the file that makes it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pullback.doctor.surgery import module_at

Origin = tuple[str, str]  # a file, and the name that a module has there


def bound(module: Any) -> Origin | None:
    """The file of the nearest caller outside of pullback that has a name for the module."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != "pullback":
            for name, value in (*frame.f_locals.items(), *frame.f_globals.items()):
                if value is module:
                    return frame.f_code.co_filename, name
        frame = frame.f_back
    return None


def line_of(module: Any, path: str, origin: Origin | None) -> str:
    """``file.py:12`` for the part at a path; empty where that is not found.

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
