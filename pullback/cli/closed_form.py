"""``pullback closed-form``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pullback.cli import options


def closed_form(
    matrix: Annotated[
        str | None,
        typer.Argument(help="A square W in a .npy, .csv or .npz file, applied --steps times."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="How often W is applied.")] = None,
    layers: options.Layers = None,
    activation: options.Activation = None,
    net: options.Net = None,
    shape: options.Shape = None,
    init: options.Init = None,
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Say whether the recursion of δ has a closed form, which one, or why there is none.

    A network gets weights by --init and one x ~ N(0, 1). An .npz may hold state and inputs too.
    """
    from pullback.cli.answer import print_json
    from pullback.cli.fitting import show
    from pullback.errors import ConfigError

    given = [name for name in (matrix, layers, net) if name is not None]
    if len(given) != 1:
        raise ConfigError("give one of --layers, --net, or a file with a matrix and --steps")
    if matrix is not None:
        if steps is None:
            raise ConfigError("--steps says how often W is applied, as in --steps 57")
        found = _of_matrix(Path(matrix), steps, activation)
        about = f"{Path(matrix).name}, applied {steps:,} times"
    else:
        if steps is not None:
            raise ConfigError("--steps goes with a matrix; a network has its layers")
        found, about = _of_network(layers, activation, net, shape, init, seed)
    if json:
        print_json({"of": about, **found.to_dict()})
    else:
        show(f"{about}\n\n{found.text()}")


def _of_network(
    layers: str | None,
    activation: str | None,
    net: str | None,
    shape: str | None,
    init: str | None,
    seed: int,
) -> tuple[Any, str]:
    import numpy as np

    from pullback.cli.subject import recipe_of
    from pullback.closed import closed_form as answer
    from pullback.errors import ConfigError
    from pullback.net.recipe import from_layers, scheme_named
    from pullback.nn import SquaredError

    if net is not None and activation is not None:
        raise ConfigError("give either --net or --layers with --activation")
    recipe = (
        recipe_of(net, shape)
        if net is not None
        else from_layers(layers or "", activation or "tanh")
    )
    network = recipe.network(SquaredError())
    scheme = recipe.scheme if init is None else scheme_named(init)
    sample = [axis.size or 1 for axis in network.x.axes[1:]]
    x = np.random.default_rng(seed).standard_normal(sample)
    own = recipe.weights if init is None else None
    params = network.init(seed=seed, scheme=scheme) if own is None else own
    found = answer(network, params, x)
    by = init or ("its usual init" if own is None else "the module itself")
    return found, f"{network.model!r}\nweights by {by}, x ~ N(0, 1), seed {seed}"


def _of_matrix(path: Path, steps: int, activation: str | None) -> Any:
    from pullback.closed import Recurrence
    from pullback.closed import closed_form as answer

    held = _arrays(path)
    return answer(Recurrence(held["W"], steps, activation, held.get("inputs"), held.get("state")))


def _arrays(path: Path) -> dict[str, Any]:
    """W, and state and inputs where an .npz has them; nothing is ever unpickled."""
    from pullback.data.archive import Archive, read_npy
    from pullback.data.cells import is_number
    from pullback.data.csv_table import read_csv
    from pullback.data.delimited import read_rows
    from pullback.errors import UnknownNameError, nearest, unknown
    from pullback.foreign import regular_file

    ending = path.suffix.lower()
    if ending not in (".npy", ".npz", ".csv"):
        raise unknown(f"ending of {str(path)!r}:", ending, (".npy", ".npz", ".csv"))
    regular_file(path)
    if ending == ".csv":
        named = not all(is_number(cell.strip()) for cell in read_rows(path).cells[0])
        table = read_csv(path, header=named)
        return {"W": table.numbers(list(table.columns))}
    if ending == ".npy":
        return {"W": read_npy(path)}
    archive = Archive(path)
    names = archive.names
    if "W" not in names:
        if len(names) == 1:
            return {"W": archive[names[0]]}
        raise UnknownNameError(f"{path.name} has no array 'W': {nearest('W', names)}")
    return {name: archive[name] for name in ("W", "state", "inputs") if name in names}
