"""``pullback plan`` prints what ``plan_chain`` finds."""

import json

import pytest

import pullback as pb
from pullback.cli import main


@pytest.fixture
def run(capsys):
    def command(text):
        with pytest.raises(SystemExit) as left:
            main(["plan", *text.split()])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return command


def test_plan_is_printed(run):
    code, out, err = run("--layers 1000,50,1000,20,800,30,600 --consumer gram")
    expected = pb.plan_chain([1000, 50, 1000, 20, 800, 30, 600], consumer="gram")
    assert (code, out, err) == (0, expected.text() + "\n", "")
    assert max(map(len, out.splitlines())) <= 80


def test_plan_of_programs_as_json(run):
    code, out, _ = run("--layers 3,3,1,2 --edges 29,14,7 --json")
    found = json.loads(out)
    assert (code, found["cost"], found["modes"]["preaccumulate"]["fma"]) == (0, 56, 123)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("--layers 3,x", "expected widths such as"),
        ("--layers 3", "two widths or more"),
        ("--layers 3,2 --consumer grm", "did you mean 'gram'"),
        ("--layers 30,2,30 --memory 10", "needs 7200"),
    ],
)
def test_bad_input_is_one_line(run, text, says):
    code, out, err = run(text)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
