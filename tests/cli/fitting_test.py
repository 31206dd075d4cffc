"""Text in a narrow terminal: no word is broken, and a table stays one where it can."""

import pytest

from pullback.cli import main
from pullback.cli.fitting import fitted

COMMANDS = [
    ["plan", "--layers", "1000,50,1000,20,800,30,600", "--consumer", "gram"],
    ["forecast", "--layers", "64,32x3,10", "-q"],
    ["closed-form", "--layers", "6,4,3"],
    ["check", "--layers", "64,3,10", "--samples", "4", "-q"],
    ["derive", "--layers", "4,3,2"],
]


def printed(capsys, monkeypatch, args, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main(args)
    return capsys.readouterr().out


@pytest.mark.parametrize("args", COMMANDS, ids=lambda args: args[0])
def test_sixty_columns_hold_the_same_words(capsys, monkeypatch, args):
    wide, narrow = (printed(capsys, monkeypatch, args, columns) for columns in (400, 60))
    assert narrow.split() == wide.split()
    words = max(map(len, wide.split()))
    assert max(map(len, narrow.splitlines())) <= max(60, words + 8)


@pytest.mark.parametrize("command", ["train", "report", "forecast", "plan", "doctor"])
def test_help_keeps_its_words(capsys, monkeypatch, command):
    narrow = printed(capsys, monkeypatch, [command, "--help"], 60)
    assert max(map(len, narrow.splitlines())) <= 60
    assert "…" not in narrow.replace(", …", "")


def test_a_table_loses_blanks_before_it_is_broken():
    rows = ["name          value", "a                 1", "long name         2"]
    assert fitted("\n".join(rows), 19) == "\n".join(rows)
    assert fitted("\n".join(rows), 17) == "name       value\na              1\nlong name      2"
    assert fitted("\n".join(rows), 12).splitlines()[0] == "name"
