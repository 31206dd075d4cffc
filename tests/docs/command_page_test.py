"""The page of the command line says what the parser does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import command_page


def test_the_page_is_that_of_the_parser():
    assert command_page.PAGE.read_text(encoding="utf-8") == command_page.page(), (
        "the commands changed: run python tools/command_page.py"
    )


def test_it_has_every_command_and_option():
    text = command_page.page()
    for said in ("## pullback closed-form", "`--early-stopping`", "`--header`, `--no-header`"):
        assert said in text
