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
from pullback.emit.target.places import outside
from pullback.emit.target.refusals import refusal
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
    value = task.program.inputs.get(task.labels or "")
    if value is None or (classes := value.axes[-1].size) is None:
        return []
    name, language = value.name, statements.language
    eye = call(f"{language.module}.eye", whole(classes), dtype=statements.dtype)
    rows = printed(quote(language.at, a=eye, p=variable(name)))
    return [
        f"if {name}.ndim == {len(value.axes) - 1}:  # class numbers",
        *indented(refusal(*outside(name, value.axes[-1], statements))),
        f"    {name} = {rows}",
    ]


def module(title: Iterable[str], imports: Iterable[str], parts: Iterable[list[str]]) -> str:
    """A module: what it is, its imports, its functions."""
    head = [docstring("\n".join(title)), "", *imports]
    return "\n".join([*head, *(line for part in parts for line in ("", "", *part)), ""])
