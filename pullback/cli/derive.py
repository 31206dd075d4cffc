"""``pullback derive``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pullback.cli import options


def derive(
    expression: Annotated[
        str | None,
        typer.Argument(help="A formula, as 'logdet(X)' or 'mean((X@w-y)**2)', --layers or --net."),
    ] = None,
    wrt: Annotated[
        str | None, typer.Option(help="Variables to differentiate by: w, or w,b.")
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            help="Axes of each variable: 'X=n d, A=n n, S=n n sym' (default: from the formula)."
        ),
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option(help="numpy (x.T@A@x) or matlab (x'*A*x), of the formula; by its signs."),
    ] = None,
    layers: options.Layers = None,
    activation: options.Activation = None,
    net: options.Net = None,
    shape: options.Shape = None,
    loss: options.Loss = None,
    convention: Annotated[
        str | None, typer.Option(help="columns, rows, ng or index, of a network.")
    ] = None,
    order: Annotated[
        int, typer.Option(help="1: gradient or Jacobian, 2: Hessian too, 3: third derivatives too.")
    ] = 1,
    symmetric: Annotated[
        str,
        typer.Option(help="By a symmetric matrix: entries (G+G.T-G*I) or part (G+G.T)/2."),
    ] = "entries",
    layout: Annotated[
        str,
        typer.Option(help="numerator, or denominator: a Jacobian's rows are the variable's."),
    ] = "numerator",
    as_: Annotated[
        str, typer.Option("--as", help="text, latex, html, numpy, numba, jax, torch or javascript.")
    ] = "text",
    json: options.Json = False,
) -> None:
    """Derive the gradient of a formula or a network: as mathematics, or as code that runs."""
    from pullback.cli.answer import print_json
    from pullback.cli.fitting import show
    from pullback.errors import ConfigError, MisfitError, unknown

    if sum(each is not None for each in (expression, layers, net)) != 1:
        raise ConfigError("give either a formula, or --layers, or --net")
    if net is not None and activation is not None:
        raise ConfigError("give either --net or --layers with --activation")
    shown = ("text", "latex", "html")
    codes = ("numpy", "numba", "jax", "torch", "javascript")
    if as_ not in shown + codes:
        raise unknown("form", as_, shown + codes)
    found: Any
    if expression is not None:
        if wrt is None:
            raise ConfigError("--wrt names the variables to differentiate by, as in --wrt w")
        from pullback.derive.of_expression import derive_expression
        from pullback.ir.language.dialect import dialect_of
        from pullback.net.expression import expr

        names = [name.strip() for name in wrt.split(",")]
        conventions: Any = (symmetric, layout)  # unknown ones are refused there
        asked: Any = dialect  # an unknown one is refused there
        spoken = dialect_of(expression, asked)
        try:
            e = expr(expression, dialect=asked, **_axes(expression, axes, spoken))
        except MisfitError:
            if axes is not None or spoken == "matlab":
                raise
            e = expr(expression, dialect=asked)  # what goes against the habit
        found = derive_expression(e, names, order, *conventions)
    else:
        from pullback.derive.of_network import derive_network

        network = (
            _network(layers or "", activation or "sigmoid", loss)
            if net is None
            else _of_file(net, shape, loss)
        )
        found = derive_network(network, convention, order)
    if json:
        print_json(found.to_dict())
    elif as_ in codes:
        print(found.code(as_))
    elif as_ == "text":
        show(found.text())
    else:
        print(getattr(found, as_)())


def _axes(expression: str, given: str | None, dialect: str) -> dict[str, str]:
    """The axes that are given; of a formula without any, by the habit X="n d", W="d k".

    Where a name has none by habit, and in MATLAB's notation, they are what the text tells.
    """
    from pullback.ir.language.syntax import SourceText

    if given is None and dialect == "matlab":
        return {}
    if given is None:
        habits = {"X": "n d", "Y": "n k", "W": "d k", "x": "n", "y": "n", "w": "d", "b": ""}
        names = [name for name in SourceText(expression).names() if name not in ("e", "pi")]
        return {name: habits[name] for name in names} if {*names} <= {*habits} else {}
    pairs = [part.partition("=") for part in given.split(",")]
    return {name.strip(): names.strip().strip("\"'") for name, _, names in pairs}


def _of_file(net: str, shape: str | None, loss: str | None) -> Any:
    """The network of a file, with a cross-entropy where nobody names a loss."""
    from dataclasses import replace

    from pullback.cli.subject import recipe_of
    from pullback.net.recipe import loss_named
    from pullback.nn import CrossEntropy

    recipe = recipe_of(net, shape)
    if loss is not None:
        recipe = replace(recipe, loss=loss_named(loss))
    return recipe.network(CrossEntropy())


def _network(layers: str, activation: str, loss: str | None) -> Any:
    """Linear blocks with an activation behind each; sigmoids end in binary cross-entropy."""
    from itertools import pairwise

    from pullback.errors import unknown
    from pullback.net.network import Network
    from pullback.net.recipe import widths_in
    from pullback.nn import (
        BinaryCrossEntropy,
        CrossEntropy,
        Linear,
        LogisticLoss,
        MSELoss,
        Sequential,
        SquaredError,
    )
    from pullback.nn.activation import Sigmoid
    from pullback.nn.activation import activation as named

    widths = widths_in("--layers", layers)
    losses = {
        "cross_entropy": CrossEntropy(),
        "binary_cross_entropy": BinaryCrossEntropy(from_logits=False),
        "squared_error": SquaredError(),
        "mse": MSELoss(),
        "logistic": LogisticLoss(),
    }
    block = named(activation)
    closing = block == Sigmoid()
    chosen = loss or ("binary_cross_entropy" if closing else "cross_entropy")
    if chosen not in losses:
        raise unknown("loss", chosen, losses)
    parts = [part for sizes in pairwise(widths) for part in (Linear(*sizes), block)]
    last = closing and chosen in ("binary_cross_entropy", "squared_error", "mse")
    return Network(Sequential(*(parts if last else parts[:-1])), loss=losses[chosen])
