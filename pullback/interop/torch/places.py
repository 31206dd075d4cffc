"""Where a node of a torch graph stands, in words: node, module, line of source."""

from __future__ import annotations

import os
import re
from typing import Any

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


def place_of(node: Any, prefix: str, torch: Any) -> str:
    """A node of a graph: ``relu at node 'relu_1' of module 'body', model.py:12``."""
    what = _shown(node.target)
    where = f" at node {node.name!r}"
    path = ".".join(part for part in (prefix, path_of(node)) if part)
    if path:
        where += f" of module {path!r}"
    return f"{what}{where}{_line(node, torch)}"


def module_place(module: Any, path: str) -> str:
    """A module: ``Conv2d at '0'``."""
    return f"{type(module).__name__} at {path!r}" if path else type(module).__name__


def _shown(target: Any) -> str:
    if hasattr(target, "overloadpacket"):
        return str(target.overloadpacket.__name__)
    return str(getattr(target, "__name__", target))


def path_of(node: Any) -> str:
    """The path of the innermost module that the node stands in."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [entry[0] for entry in stack.values()]
    return str(paths[-1]) if paths else ""


def _line(node: Any, torch: Any) -> str:
    """The innermost line of source that is neither torch's nor pullback's."""
    homes = os.path.dirname(torch.__file__), os.path.dirname(__file__)
    frames = _FRAME.finditer(node.stack_trace or "")
    own = [found for found in frames if not found["file"].startswith(homes)]
    return f", {own[-1]['file']}:{own[-1]['line']}" if own else ""
