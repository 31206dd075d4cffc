"""The application: its commands, and errors in one line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from pullback.cli.commands import Commands
from pullback.errors import ConfigError, ExpressionError, PullbackError, closest

NARROW = 80  # columns
INTERRUPTED = 130  # the exit code of what Ctrl-C ended
_LONGEST = 1000  # characters of an error

app = typer.Typer(
    name="pullback",
    cls=Commands,
    help="Backpropagation that you can read: derive it, check it, train with it, see it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


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
