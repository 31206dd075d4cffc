"""The command line that does the same again."""

from __future__ import annotations

import shlex

import typer


def command(context: typer.Context) -> str:
    """The command with its arguments, and with the options that are not at their defaults."""
    words = ["pullback", str(context.command.name)]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif value != parameter.get_default(context) and value is not None:
            if isinstance(value, bool):
                names = parameter.opts if value else parameter.secondary_opts
                words.append(max(names, key=len))
            else:
                for each in value if isinstance(value, (list, tuple)) else [value]:
                    words += [max(parameter.opts, key=len), str(each)]
    return shlex.join(words)
