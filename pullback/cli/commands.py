"""The commands by their names: each loads when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
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

    def get_params(self, ctx: Any) -> list[Any]:
        return _read_late(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


class Command(TyperCommand):
    """A command that reads plain values without what reads the others."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _read_late(super().get_params(ctx))


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
            alone.command(name, cls=Command, epilog=f"Example: pullback {name} {example}")(work)
            self._made[name] = get_command(alone)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(EXAMPLES)

    def __len__(self) -> int:
        return len(EXAMPLES)


class PlainReader:
    """Reads the value of a parameter: what has its type already is taken as it is.

    All else is typer's to read, which loads pydantic: that takes longer than many a command.
    """

    def __init__(self, parameter: Any) -> None:
        kind = parameter.type_descriptor
        free = not (kind.is_path or kind.is_ranged or kind.parameter_info.parser)
        self._plain = (kind.annotation,) if free and kind.annotation in (str, int, float) else ()

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        absent = value is None and param.nargs == 1 and not param.multiple
        if absent or type(value) in self._plain:
            return value
        return type(param).get_runtime_param(param).coerce(value, param=param, ctx=ctx)


def _read_late(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        reader = PlainReader(each)
        each.get_runtime_param = lambda reader=reader: reader
    return parameters
