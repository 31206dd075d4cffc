"""Tables as teachers pass them around load and train, or are refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from teaching_tables import cases

import pullback as pb
from pullback.data import Preprocessing, load, split
from pullback.errors import PullbackError

CASES = {case.file: case for case in cases()}


def write(folder, case):
    path = folder / case.file
    text = case.content
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_most_of_them_load():
    assert len(CASES) == 49
    assert sum(case.task != "refused" for case in CASES.values()) >= 45


@pytest.mark.parametrize("case", [each for each in CASES.values() if each.task == "refused"],
                         ids=lambda case: case.file)  # fmt: skip
def test_a_refusal_says_why(case, tmp_path):
    with pytest.raises(PullbackError) as fault:
        load(write(tmp_path, case), **case.options)
    assert case.said in str(fault.value)


@pytest.mark.parametrize("case", [each for each in CASES.values() if each.task != "refused"],
                         ids=lambda case: case.file)  # fmt: skip
def test_a_teaching_table_loads_and_trains(case, tmp_path):
    data = load(write(tmp_path, case), **case.options)
    made = data.preprocessing
    assert data.notes[0].startswith(case.said)
    assert made.target.task == case.task
    train, test = split(data)
    fitted = train.preprocessing
    fitted = replace(fitted, scaling={"x": fitted.scaling_of(train.X)})
    X = fitted.scaled(train.X, data.name)
    assert np.isfinite(X).all()
    loss = pb.CrossEntropy() if data.classes else pb.MSELoss()
    net = pb.Network(pb.Linear(X.shape[1], data.outputs), loss)
    Y = train.targets(net.criterion.target, data.outputs).astype(np.float32)
    Y = Y.astype(int) if data.classes else ((Y - Y.mean()) / Y.std())[:, None]
    rate = pb.optim.SGD(1e-2)
    result = pb.fit(net, X, Y, optimizer=rate, epochs=3, progress=False, engine="numpy")
    assert result.history["loss"][-1] < result.history["loss"][0]
    again = Preprocessing.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert np.array_equal(again.encode(test.table)[0], test.X)


def test_what_is_learnt_of_columns_is_learnt_of_the_training_rows(tmp_path):
    rows = [f"{i if i % 4 else ''},{'rare' if i == 7 else 'ab'[i % 2]},{i / 3}" for i in range(40)]
    (tmp_path / "t.csv").write_text("x,k,y\n" + "\n".join(rows))
    data = load(str(tmp_path / "t.csv"))
    assert data.features == ("x", "k=a", "k=b", "k=rare")
    seed = next(s for s in range(99) if 7 / 3 in split(data, seed=s)[1].Y)
    train, test = split(data, seed=seed)
    assert train.features == test.features == ("x", "k=a", "k=b")
    filled = np.median([x for x in train.Y * 3 if round(x) % 4])
    gaps = np.round(test.Y * 3) % 4 == 0
    assert test.X[gaps, 0] == pytest.approx(filled)
    assert test.X[np.isclose(test.Y, 7 / 3), 1:].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("file", "said", "task"),
    [
        ("iris.csv", "4 columns: 4 numbers", "classification"),
        ("wine_data.csv", "13 columns: 13 numbers", "classification"),
        ("breast_cancer.csv", "30 columns: 30 numbers", "classification"),
        ("linnerud_exercise.csv", "2 columns: 2 numbers", "regression"),
    ],
)
def test_files_of_a_real_library_load(file, said, task, tmp_path):
    """Their first line says how many samples there are, and which classes: no header, no sample."""
    text = files("sklearn.datasets.data").joinpath(file).read_text()
    if file != "linnerud_exercise.csv":
        text = text.partition("\n")[2]
    (tmp_path / file).write_text(text)
    data = load(str(tmp_path / file))
    assert data.notes[0].startswith(said)
    assert data.preprocessing.target.task == task
