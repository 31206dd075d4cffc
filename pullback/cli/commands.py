"""The commands by their names: each loads when it is asked for, and so do their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from pullback.errors import unknown

EXAMPLES = {  # in the order of the help: what may stand behind each command's name
    "report": "digits --layers 64,64,32,10 --out report.html",
    "train": "flowers.csv --target kind --save net.safetensors",
    "predict": "net.safetensors new.csv --out predictions.csv",
    "compare": "small.safetensors large.safetensors --on test.csv",
    "export": "net.safetensors --to onnx",
    "summary": "--layers 784,300,10 --activation relu",
    "check": "digits --layers 64,16,10 --activation gelu",
    "derive": "--layers 400,25,10 --convention ng --as latex",
    "forecast": "--layers 784,300x20,10 --activation tanh --scheme torch-default",
    "closed-form": "--layers 64,64,64,10 --activation relu",
    "plan": "--layers 1000,50,1000,20,800,30,600 --consumer gram",
    "doctor": "model.py:model flowers.csv --target kind",
    "bench": "--quick --peers pullback,torch,sklearn",
    "explore": "--port 8150 --no-open",
}


class Commands(TyperGroup):
    """The commands; an unknown one is an error like any other unknown name."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = LateCommands(self.rich_markup_mode)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


class LateCommands(Mapping[str, Any]):
    """Each command by its name, made when it is looked up from the function of its module."""

    def __init__(self, markup: Any) -> None:
        self._markup = markup
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            example, called = EXAMPLES[name], name.replace("-", "_")
            work = getattr(import_module(f"pullback.cli.{called}"), called)
            alone = typer.Typer(rich_markup_mode=self._markup, add_completion=False)
            alone.command(name, epilog=f"Example: pullback {name} {example}")(work)
            command: Any = get_command(alone)
            for each in command.params:
                each.process_value = _processed(each)
            self._made[name] = command
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(EXAMPLES)

    def __len__(self) -> int:
        return len(EXAMPLES)


def _processed(parameter: Any) -> Callable[[Any, Any], Any]:
    """How a parameter reads its value: one that has its type already is taken as it is.

    What reads loads pydantic, which takes longer than many a command.
    """
    process, kind = parameter.process_value, parameter.type_descriptor
    single = parameter.nargs == 1 and not parameter.multiple and parameter.callback is None
    plain = kind.annotation in (str, int, float) and not (kind.is_path or kind.is_ranged)
    plain = plain and kind.parameter_info.parser is None

    def processed(ctx: Any, value: Any) -> Any:
        absent = value is None and not parameter.required
        if single and (absent or (plain and type(value) is kind.annotation)):
            return value
        return process(ctx, value)

    return processed
