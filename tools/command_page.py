"""docs/command-line.md, made from the parser: ``python tools/command_page.py`` writes it anew."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from pullback.cli.app import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "command-line.md"
HEAD = """# Command line

Every command says the same with `--help` (or `-h`), and prints JSON with `--json` where it has
numbers to print. Its exit code is 0; 1 where its answer is no (a wrong gradient, a network that the
doctor has a fix for, training that diverged); 2 for bad input, in one line that names the cause and
the fix; and 130 after Ctrl-C. `pullback --install-completion` lets the shell complete commands and
options.
"""


def page() -> str:
    """The page as Markdown."""
    group: Any = get_command(app)
    parts = [HEAD]
    for name, command in group.commands.items():
        parts += entry(name, command)
    return "\n".join(parts)


def entry(name: str, command: Any) -> Iterator[str]:
    """A command: what it does, an example, and its arguments and options by their subject."""
    yield f"## pullback {name}\n\n{inspect.cleandoc(command.help)}\n"
    if command.epilog:
        yield f"```\n{command.epilog.removeprefix('Example: ')}\n```\n"
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            panels.setdefault(panel(parameter), []).append(parameter)
    for title, parameters in panels.items():
        yield f"| {title} | | default |\n|---|---|---|"
        yield from map(row, parameters)
        yield ""


def panel(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or "Options"


def row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name}`"
    default = parameter.default
    plain = default is None or isinstance(default, bool) or callable(default)
    shown = "" if plain else f"`{default}`"
    told = (parameter.help or "").replace("|", "\\|")
    return f"| {names} | {told} | {shown} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
