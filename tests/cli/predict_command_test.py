"""A table trains a network, and new rows are predicted: by name, in the target's own units."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)
SIZE = RNG.uniform(40, 200, 120)
CITY = np.array(["Bern", "Oslo", "Rome"])[RNG.integers(0, 3, 120)]
PRICE = 3000 * SIZE + np.where(CITY == "Rome", 2e5, 0)
FLATS = pd.DataFrame({"id": range(1, 121), "size": SIZE, "city": CITY, "price": PRICE.round(2)})
TRAIN = ["--epochs", "40", "-q", "--save", "net.safetensors"]


@pytest.fixture
def trained(run):
    FLATS.to_csv("flats.csv", index=False)
    code, out, err = run("train", "flats.csv", *TRAIN)
    assert (code, err) == (0, ""), err
    return out


def predicted(file):
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def test_training_says_what_was_done_and_how_well_in_the_targets_units(trained):
    said = " ".join(trained.split())  # without its line breaks
    assert "3 columns: 1 number, 1 category (one-hot), 1 dropped: id (numbers the rows)" in said
    assert "target: price, numbers: regression" in said
    assert "test price: RMSE" in said


def test_new_rows_are_predicted_by_the_names_of_columns(trained, run):
    FLATS[["city", "id", "size"]].iloc[::-1].to_csv("new.csv", index=False, sep=";")
    code, out, err = run("predict", "net.safetensors", "new.csv", "--out", "p.csv")
    assert (code, err) == (0, "")
    assert "p.csv: 120 predictions of price" in out
    rows = predicted("p.csv")
    assert list(rows[0]) == ["id", "price"]
    assert [row["id"] for row in rows] == [str(each) for each in range(120, 0, -1)]
    errors = np.array([float(row["price"]) for row in rows]) - PRICE[::-1]
    assert np.abs(errors).mean() < 0.1 * PRICE.std()


def test_what_was_understood_of_new_cells_is_said(trained, run):
    """A comma may be a decimal mark or part thousands: training had neither."""
    with open("new.csv", "w", encoding="utf-8") as file:
        file.write('id,size,city\n1,"75,5",Rome\n2,"80,25",Oslo\n')
    code, out, err = run("predict", "net.safetensors", "new.csv", "--out", "p.csv")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert "column 'size' holds '80,25', with the comma read as the decimal mark" in said


def test_rows_with_a_target_are_scored(trained, run):
    FLATS.assign(price=FLATS.price.where(FLATS.id > 20)).to_csv("new.csv", index=False)
    code, out, err = run("predict", "net.safetensors", "new.csv", "--json", "--out", "p.csv")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["rows"], len(predicted("p.csv"))) == (120, 120)
    errors = np.array([float(row["price"]) for row in predicted("p.csv")]) - PRICE.round(2)
    assert found["scores"]["rmse"] == pytest.approx(np.sqrt((errors[20:] ** 2).mean()), rel=1e-4)


def test_without_out_the_predictions_are_printed_and_notes_beside_them(trained, run):
    new = FLATS.head(3).drop(columns="price").assign(city=["Rome", "Pisa", None])
    new.to_csv("new.csv", index=False)
    code, out, err = run("predict", "net.safetensors", "new.csv")
    assert code == 0
    assert out.splitlines()[0] == "id,price"
    assert len(out.splitlines()) == 4
    assert (
        "column 'city' holds values that were not there in training, first 'Pisa' in line 3" in err
    )


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"siz": [50], "city": ["Oslo"]}, "has no column 'size', which .* did you mean 'siz'?"),
        ({"size": ["large"], "city": ["Oslo"]}, "'size' holds text, first 'large' in line 2"),
        ({"size": [np.inf], "city": ["Oslo"]}, "'size' has no finite value in line 2: 'inf'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(trained, run, columns, text):
    pd.DataFrame(columns).to_csv("new.csv", index=False)
    code, out, err = run("predict", "net.safetensors", "new.csv", "--out", "p.csv")
    assert (code, out) == (2, "")
    assert re.search(text, err), err


def test_dates_are_read_as_in_training(run):
    days = pd.date_range("2020-01-01", periods=90)
    pd.DataFrame({"day": days.strftime("%d/%m/%Y"), "y": np.arange(90.0) + 0.5}).to_csv(
        "days.csv", index=False
    )
    assert run("train", "days.csv", *TRAIN)[0] == 0
    pd.DataFrame({"day": ["03/02/2020", "11/03/2020"]}).to_csv("new.csv", index=False)
    code, out, _ = run("predict", "net.safetensors", "new.csv")
    assert code == 0
    found = [float(each) for each in out.split()[1:]]
    assert found == pytest.approx([33.5, 70.5], abs=10)
    pd.DataFrame({"day": ["2020-02-03", "2020-02-04"]}).to_csv("new.csv", index=False)
    code, _, err = run("predict", "net.safetensors", "new.csv")
    assert code == 2
    assert "'day' holds '2020-02-03' in line 2; expected dates as in training" in err


def test_a_table_without_names_is_read_by_places(run):
    rows = "".join(f"{'ab'[i % 2]},{i % 2 + i / 500:.3f},{i % 7}.5\n" for i in range(60))
    with open("t.csv", "w") as file:
        file.write(rows)
    assert run("train", "t.csv", "--target", "1", *TRAIN)[0] == 0
    with open("new.csv", "w") as file:
        file.write("0.1,3.5\n1.1,4.5\n")
    code, out, _ = run("predict", "net.safetensors", "new.csv")
    assert code == 0
    assert [line.partition(",")[0] for line in out.splitlines()] == ["1", "a", "b"]


def test_arrays_and_digits_are_predicted_too(run, tmp_path):
    X = RNG.normal(size=(80, 2))
    np.savez(tmp_path / "a.npz", x_train=X, y_train=(X[:, 0] > 0).astype(int))
    assert run("train", "a.npz", *TRAIN)[0] == 0
    np.savez(tmp_path / "b.npz", X=X[:5], Y=(X[:5, 0] > 0).astype(int))
    code, out, err = run("predict", "net.safetensors", "b.npz")
    assert code == 0
    assert out.startswith("y_train,P(0),P(1)")
    assert "accuracy 100" in err
    np.savez(tmp_path / "c.npz", X=X[:5, :1])
    code, _, err = run("predict", "net.safetensors", "c.npz")
    assert (code, "has 1 features; the network was trained on 2" in err) == (2, True)


def test_parameters_alone_are_told_at_training_and_refused_here(run, tmp_path):
    (tmp_path / "own.py").write_text(
        "import pullback as pb\nclass Own(pb.Tanh):\n    pass\n"
        "model = pb.Sequential(pb.Linear(64, 3), Own(), pb.Linear(3, 10))\n"
    )
    code, out, _ = run("train", "digits", "--net", "own.py:model", *TRAIN)
    assert (code, "the file holds its parameters alone" in out) == (0, True)
    code, _, err = run("predict", "net.safetensors", "digits")
    assert (code, "holds parameters, and no network" in err) == (2, True)
