"""Functions and modules around statements, in any array library."""

from __future__ import annotations

from collections.abc import Iterable

from pullback.emit.expression.quote import docstring, indented, literal
from pullback.emit.target.language import ArrayLanguage, Task
from pullback.emit.target.statements import Statements


def array_function(task: Task, language: ArrayLanguage) -> list[str]:
    """A function that reads arrays and gives arrays back, in any language."""
    statements = Statements(task.program, language, task.comments)
    body = statements.lines()
    checks = [*statements.shapes(), *statements.checks()]
    results = task.program.results
    found = [f"{literal(key)}: {results[result].name}," for key, result in task.keys.items()]
    back = "{" if task.value is None else f"{results[task.value].name}, {{"
    return [
        f"def {task.name}({task.arguments}):",
        f"    {docstring(task.doc)}",
        *indented(task.apart),
        *indented(statements.unpack()),
        *indented(statements.floats()),
        *indented(statements.used_sizes([*body, *checks])),
        *indented(checks),
        *indented(body),
        f"    return {back}",
        *indented(found, 8),
        "    }",
    ]


def module(title: Iterable[str], imports: Iterable[str], parts: Iterable[list[str]]) -> str:
    """A module: what it is, its imports, its functions."""
    head = [docstring("\n".join(title)), "", *imports]
    return "\n".join([*head, *(line for part in parts for line in ("", "", *part)), ""])
