"""The command line: thin commands over the library."""

from pullback.cli.app import app, main

__all__ = ["app", "main"]
