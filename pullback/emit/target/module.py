"""Functions and modules around statements, in any array library."""

from __future__ import annotations

from collections.abc import Iterable

from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import (
    call,
    docstring,
    indented,
    literal,
    quote,
    variable,
    whole,
)
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
        *indented(rows_of_labels(task, statements)),
        *indented(statements.floats()),
        *indented(statements.used_sizes([*body, *checks])),
        *indented(checks),
        *indented(body),
        f"    return {back}",
        *indented(found, 8),
        "    }",
    ]


def rows_of_labels(task: Task, statements: Statements) -> list[str]:
    """The lines that make rows of class numbers, where these are given."""
    if task.labels is None or task.labels not in task.program.inputs:
        return []
    value, language = task.program.inputs[task.labels], statements.language
    classes = value.axes[-1].size
    if classes is None:
        return []
    numbers = call(f"{language.module}.arange", whole(classes))
    hits = quote("t[..., None] == n", t=variable(value.name), n=numbers)
    rows = printed(quote(language.cast, a=hits, d=statements.dtype))
    name, says = value.name, f"{value.name} holds a number that is no class of {classes}"
    outside = [
        f"    if (({name} < 0) | ({name} >= {classes})).any():",
        f"        raise ValueError({literal(says)})",
    ]
    return [
        f"if {name}.ndim == {len(value.axes) - 1}:  # class numbers",
        *(outside if language.reads_values else []),
        f"    {name} = {rows}",
    ]


def module(title: Iterable[str], imports: Iterable[str], parts: Iterable[list[str]]) -> str:
    """A module: what it is, its imports, its functions."""
    head = [docstring("\n".join(title)), "", *imports]
    return "\n".join([*head, *(line for part in parts for line in ("", "", *part)), ""])
