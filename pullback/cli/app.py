"""The application: its commands, and errors in one line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from pullback.cli.bench import bench
from pullback.cli.check import check
from pullback.cli.closed_form import closed_form
from pullback.cli.compare import compare
from pullback.cli.derive import derive
from pullback.cli.doctor import doctor
from pullback.cli.explore import explore
from pullback.cli.export import export
from pullback.cli.forecast import forecast
from pullback.cli.plan import plan
from pullback.cli.predict import predict
from pullback.cli.report import report
from pullback.cli.summary import summary
from pullback.cli.train import train
from pullback.errors import ConfigError, ExpressionError, PullbackError, closest, unknown

NARROW = 80  # columns
INTERRUPTED = 130  # the exit code of what Ctrl-C ended
_LONGEST = 1000  # characters of an error


class Commands(TyperGroup):
    """The commands; an unknown one is an error like any other unknown name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="pullback",
    cls=Commands,
    help="Backpropagation that you can read: derive it, check it, train with it, see it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command(epilog="Example: pullback report digits --layers 64,64,32,10 --out report.html")(report)
app.command(epilog="Example: pullback train flowers.csv --target kind --save net.safetensors")(
    train
)
app.command(epilog="Example: pullback predict net.safetensors new.csv --out predictions.csv")(
    predict
)
app.command(epilog="Example: pullback compare small.safetensors large.safetensors --on test.csv")(
    compare
)
app.command(epilog="Example: pullback export net.safetensors --to onnx")(export)
app.command(epilog="Example: pullback summary --layers 784,300,10 --activation relu")(summary)
app.command(epilog="Example: pullback check digits --layers 64,16,10 --activation gelu")(check)
app.command(epilog="Example: pullback derive --layers 400,25,10 --convention ng --as latex")(derive)
app.command(
    epilog="Example: pullback forecast --layers 784,300x20,10 --activation tanh "
    "--scheme torch-default"
)(forecast)
app.command(
    "closed-form", epilog="Example: pullback closed-form --layers 64,64,64,10 --activation relu"
)(closed_form)
app.command(epilog="Example: pullback plan --layers 1000,50,1000,20,800,30,600 --consumer gram")(
    plan
)
app.command(epilog="Example: pullback doctor model.py:model flowers.csv --target kind")(doctor)
app.command(epilog="Example: pullback bench --quick --peers pullback,torch,sklearn")(bench)
app.command(epilog="Example: pullback explore --port 8150 --no-open")(explore)


def run(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave with its exit code; raises KeyboardInterrupt after Ctrl-C."""
    try:
        _check(sys.argv[1:] if args is None else args)
        # side by side, names and help need room; in less they stand below each other
        app.rich_markup_mode = "rich" if shutil.get_terminal_size().columns >= NARROW else None
        code = app(args=args, prog_name="pullback", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be written is found out here, not at exit
    except typer.TyperException as fault:
        _fail(_worded(fault))
    except ExpressionError as fault:
        _fail(f"{str(fault).partition(chr(10))[0]}: {fault.text!r}")
    except BrokenPipeError:
        _closed()
    except SystemExit as left:  # typer's own way with a closed pipe
        if not isinstance(left.__context__, BrokenPipeError):
            raise
        _closed()
    except (PullbackError, OSError) as fault:
        _fail(str(fault))
    except MemoryError:
        _fail("there is not enough memory; take fewer samples, or narrower layers")
    except RecursionError:
        _fail("the network or formula is nested too deep; take fewer layers")
    except typer.Abort:
        raise KeyboardInterrupt from None
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    sys.exit(code or 0)


def _worded(fault: typer.TyperException) -> str:
    """What is wrong with a command line; an option that nobody knows has its nearest beside it."""
    option, context = getattr(fault, "option_name", None), getattr(fault, "ctx", None)
    if option is None or context is None or not hasattr(fault, "possibilities"):
        return fault.format_message()
    known = [name for each in context.command.params for name in (*each.opts, *each.secondary_opts)]
    near = closest(option, known)
    hint = f"did you mean {near!r}?" if near else f"see {context.command_path} --help"
    return f"unknown option {option!r}: {hint}"


def _check(args: Sequence[str]) -> None:
    """Raise ConfigError for an argument that is no text, such as a name in another encoding."""
    for at, text in enumerate(args, 1):
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise ConfigError(f"argument {at} is {text!r}; expected text in UTF-8, without zeros")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
) -> None:
    if version:
        # imports go down only, and the version stands in the face, above this room
        print(f"pullback {sys.modules['pullback'].__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def _closed() -> NoReturn:
    # what is still to be written would fail at exit once more
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _fail("the output was closed before all of it was written")


def _fail(message: str) -> NoReturn:
    text = " ".join(message.split())
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} …"
    print(f"pullback: {text}", file=sys.stderr)
    sys.last_value = sys.exception()  # as after an error that nobody caught, for what runs at exit
    sys.exit(2)
