"""The bar shows what matters, on one line of a small terminal, and nothing where nobody looks."""

import io
import re
from functools import partial

import numpy as np
import pytest
import rich.console

import pullback as pb

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
