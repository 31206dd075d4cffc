"""The bar shows what matters, on one line of a small terminal, and nothing where nobody looks."""

import io
import re
from functools import partial

import numpy as np
import pytest
import rich.console

import pullback as pb
from pullback.train import compiled_epoch

X = np.random.default_rng(0).normal(size=(40, 4))
Y = np.arange(40) % 3
NET = pb.Network(pb.Linear(4, 3), loss=pb.CrossEntropy())


@pytest.fixture
def terminal(monkeypatch):
    """Terminals of 80 columns, made where a console is asked for."""
    screen = io.StringIO()
    made = partial(rich.console.Console, file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(rich.console, "Console", lambda **options: made())
    return screen


def lines(screen):
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    return [line.strip() for line in re.split(r"[\r\n]", plain) if line.strip()]


def test_the_last_line_has_epoch_loss_metric_speed_and_time(terminal):
    result = pb.fit(NET, X, Y, epochs=3, validation=(X, Y))
    shown = lines(terminal)
    assert shown[-1].startswith("epoch 3/3")
    assert f"loss {result.history['loss'][-1]:.4g}" in shown[-1]
    assert f"validation {result.history['validation_accuracy'][-1]:.1%}" in shown[-1]
    assert re.search(r"[\d,]+ samples/s", shown[-1])
    assert re.search(r"\d:\d\d:\d\d$", shown[-1])
    assert all(len(line) <= 80 for line in shown)


def test_a_resumed_training_starts_where_it_was(terminal, tmp_path):
    path = tmp_path / "net.safetensors"
    pb.fit(NET, X, Y, epochs=2, checkpoint=path, progress=False)
    assert lines(terminal) == []
    pb.fit(NET, X, Y, epochs=2, checkpoint=path, resume=True)
    assert lines(terminal)[-1].startswith("epoch 2/2")


def test_where_there_is_no_terminal_there_is_no_bar(capsys):
    pb.fit(NET, X, Y, epochs=2)
    assert capsys.readouterr() == ("", "")


def test_it_says_that_a_network_is_compiled_while_that_lasts(terminal, tmp_path, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path))
    net = pb.Network(pb.Linear(4, 3), loss=pb.CrossEntropy(), l2=0.125)  # nobody has compiled it
    shown_while: list[list[str]] = []
    write = compiled_epoch.emit.training_code

    def written(*given):
        shown_while.append(lines(terminal))
        return write(*given)

    monkeypatch.setattr(compiled_epoch.emit, "training_code", written)
    pb.fit(net, X, Y, epochs=2)
    ((*_, last),) = shown_while
    assert "compiling (first run only)" in last
    assert "compiling" not in lines(terminal)[-1]
    before = len(lines(terminal))
    pb.fit(net, X, Y, epochs=2)
    assert not any("compiling" in line for line in lines(terminal)[before:])
