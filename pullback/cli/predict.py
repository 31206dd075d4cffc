"""``pullback predict``."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from pullback.cli import options


def predict(
    network: Annotated[Path, typer.Argument(help="A file that train --save wrote.")],
    data: Annotated[str, typer.Argument(help="A .csv, .parquet or .npz file with new samples.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the predictions to this .csv (default: print them).")
    ] = None,
    header: options.Header = None,
    json: options.Json = False,
) -> None:
    """Predict new samples with a network that was saved, and score it where the target is there.

    Columns are found by name; categories, medians and scaling are those of training.
    """
    from pullback.cli.answer import print_json
    from pullback.cli.output import output, store
    from pullback.cli.result import scores_text
    from pullback.data.again import read_again
    from pullback.errors import DataError
    from pullback.files import write_atomically
    from pullback.train.saved import load

    output(out, data, network)
    saved = load(network)
    if saved.preprocessing is None:
        raise DataError(
            f"{network} was saved without the preprocessing of its data; pb.load({str(network)!r}) "
            "gives the network, which takes arrays"
        )
    target = saved.preprocessing.target.name
    found = read_again(data, saved.preprocessing, header)
    made = saved.predict(found.X)
    columns = {**found.ids, **made.columns(target)}
    scores = {} if found.Y is None else made.take(found.labelled).scores(found.Y)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    if out is not None:
        content = text.getvalue().encode()
        store(out, lambda file: write_atomically(file, content))
    if json:
        held = {} if out is not None else {"predictions": columns}
        print_json({"rows": len(found.X), "scores": scores, **held}, found.notes)
        return
    if out is None:
        print(text.getvalue(), end="")
    told = sys.stderr if out is None else sys.stdout  # what is printed can be piped on
    for note in found.notes:
        print(f"note: {note}", file=told)
    if scores:
        rows = len(found.X) if found.labelled is None else int(found.labelled.sum())
        print(f"{scores_text(scores, target)} ({rows:,} rows)", file=told)
    if out is not None:
        print(f"{out}: {len(found.X):,} predictions of {target}")
