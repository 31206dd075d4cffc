"""Networks from text: a list of widths, a TOML file, or a name in a Python file."""

from __future__ import annotations

import inspect
import runpy
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pullback.errors import ConfigError, require, unknown, whole
from pullback.nn import (
    BinaryCrossEntropy,
    Block,
    CrossEntropy,
    Linear,
    LogisticLoss,
    Loss,
    MSELoss,
    Residual,
    Sequential,
    SquaredError,
    init,
)
from pullback.nn.activation import BY_NAME, Elementwise, activation
from pullback.run.network import Network
from pullback.run.optim import (
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ConjugateGradient,
    FullBatch,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
)

LOSSES: dict[str, Callable[..., Loss]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "logistic_loss": LogisticLoss,
    "squared_error": SquaredError,
    "mse_loss": MSELoss,
}
SCHEMES: dict[str, Callable[..., init.Scheme]] = {
    each.__name__: each
    for each in (
        init.glorot, init.he, init.lecun, init.normal, init.orthogonal, init.uniform,
        init.constant, init.torch_default,
    )
}  # fmt: skip
OPTIMIZERS: dict[str, Optimizer | FullBatch] = {
    "sgd": SGD(0.1),
    "momentum": Momentum(0.1),
    "nesterov": Nesterov(0.1),
    "adagrad": Adagrad(),
    "rmsprop": RMSProp(),
    "adam": Adam(),
    "adamw": AdamW(),
    "lbfgs": LBFGS(),
    "conjugate_gradient": ConjugateGradient(),
}
Made = TypeVar("Made")
_ONE_SIDED = {"ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Softplus"}


@dataclass(frozen=True)
class Recipe:
    """A model and what was said about its training; ``loss=None`` leaves the loss to the data."""

    model: Block
    loss: Loss | None = None
    l2: float = 0.0
    initial: init.Scheme | None = None

    def network(self, otherwise: Loss) -> Network:
        """The network, with another loss where the recipe has none."""
        return Network(self.model, loss=self.loss or otherwise, l2=self.l2)

    @property
    def scheme(self) -> init.Scheme:
        """The initialiser: the recipe's own, or He's for one-sided activations, or Glorot's."""
        names = {type(each).__name__ for each in _activations(self.model)}
        return self.initial or (init.he() if names and names <= _ONE_SIDED else init.glorot())


def from_layers(widths: str | Sequence[int], activation: str = "tanh") -> Recipe:
    """Linear layers of these widths, features first, with an activation between each two.

    ``"784,300x20,10"`` has twenty layers of 300 units.
    Raises ConfigError for widths that are none, UnknownNameError for an unknown activation.

    >>> from_layers("4,3,2", "relu").model
    Sequential(Linear(4, 3), ReLU(), Linear(3, 2))
    """
    return Recipe(_layered(widths, _activation(activation)))


def from_file(source: str) -> Recipe:
    """The network of a TOML file, or of ``file.py:name``, a model or a Network in a Python file.

    A TOML file has ``layers = [64, 32, 10]`` with ``activation = "tanh"``, or a list ``blocks`` of
    ``{ linear = [64, 32], bias = true }``, ``{ residual = [blocks…], scale = 0.5 }``,
    an activation's name, or ``{ name = "leakyrelu", slope = 0.1 }``. It may also have ``loss`` and
    ``init``, each a name or a table with ``name`` and options, and ``l2``.

    Raises ConfigError or UnknownNameError that names the file, the key and the mend.
    """
    file, _, name = source.partition(".py:")
    if name:
        return _python(Path(f"{file}.py"), name)
    path = Path(source)
    if path.suffix != ".toml":
        raise ConfigError(f"the network {source!r} is neither a .toml file nor file.py:name")
    return _toml(path)


def loss_named(name: str) -> Loss:
    """The loss of that name: cross_entropy, squared_error, …; raises UnknownNameError."""
    return _chosen("loss", LOSSES, name)


def scheme_named(name: str) -> init.Scheme:
    """The initialiser of that name: glorot, he, …; raises UnknownNameError."""
    return _chosen("init", SCHEMES, name)


def optimizer_named(name: str) -> Optimizer | FullBatch:
    """The optimiser of that name at its usual rate: adam, sgd, …; raises UnknownNameError."""
    plain = {_squashed(each): made for each, made in OPTIMIZERS.items()}
    if _squashed(name) not in plain:
        raise unknown("optimizer", name, OPTIMIZERS)
    return plain[_squashed(name)]


def _existing(path: Path) -> Path:
    if not path.is_file():
        beside = [each.name for each in path.parent.glob(f"*{path.suffix}")]
        close = get_close_matches(path.name, beside, n=1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"there is no file '{path}'{hint}")
    return path


def _python(path: Path, name: str) -> Recipe:
    try:
        names = runpy.run_path(str(_existing(path)), run_name=path.stem)
    except ConfigError:
        raise
    except Exception as fault:  # whatever the user's own code raises
        raise ConfigError(f"{path} raised {type(fault).__name__}: {fault}") from fault
    if name not in names:
        own = [each for each, value in names.items() if isinstance(value, (Block, Network))]
        raise unknown(f"name in {path}:", name, own)
    found = names[name]
    if isinstance(found, Network):
        return Recipe(found.model, found.criterion, found.l2)
    require(f"{path}:{name}", found, Block, "a model such as Sequential(…), or a Network")
    return Recipe(found)


def _toml(path: Path) -> Recipe:
    try:
        table = tomllib.loads(_existing(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} is not a TOML file: {fault}") from None
    known = ("layers", "activation", "blocks", "loss", "l2", "init")
    for key in table:
        if key not in known:
            raise unknown(f"key in {path}:", key, known)
    if ("layers" in table) == ("blocks" in table):
        raise ConfigError(f"{path} needs either layers = [64, 32, 10] or blocks = […]")
    if "layers" in table:
        model = _layered(table["layers"], _activation(table.get("activation", "tanh")))
    elif "activation" in table:
        raise ConfigError(f"{path}: activation goes with layers; name it among the blocks instead")
    else:
        model = _sequence("blocks", table["blocks"])
    loss = _chosen("loss", LOSSES, table["loss"]) if "loss" in table else None
    scheme = _chosen("init", SCHEMES, table["init"]) if "init" in table else None
    return Recipe(model, loss, _number(f"{path}: l2", table.get("l2", 0.0)), scheme)


def _layered(widths: str | Sequence[int], between: Block) -> Block:
    try:
        sizes = _widths(widths) if isinstance(widths, str) else widths
        sizes = [whole("a width", each) for each in sizes]
    except (TypeError, ValueError):
        raise ConfigError(f"layers is {widths!r}; expected widths such as 64,32,10") from None
    if len(sizes) < 2:
        raise ConfigError(f"layers is {widths!r}; expected two widths or more, such as 64,32,10")
    blocks: list[Block] = []
    for n_in, n_out in pairwise(sizes):
        blocks += [Linear(n_in, n_out), between]
    return Sequential(*blocks[:-1])


def _widths(text: str) -> list[int]:
    """Widths between commas; 300x20 is twenty times 300."""
    parts = [each.partition("x") for each in text.split(",")]
    return [int(n) for n, x, times in parts for _ in range(int(times) if x else 1)]


def _sequence(where: str, entries: Any) -> Block:
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{where} is {entries!r}; expected a list of blocks")
    return Sequential(*(_block(f"{where}[{at}]", entry) for at, entry in enumerate(entries)))


def _block(where: str, entry: Any) -> Block:
    match entry:
        case str() | {"name": _}:
            return _activation(entry)
        case {"linear": [int(n_in), int(n_out)]}:
            return Linear(n_in, n_out, **_options(where, Linear, entry, after=2))
        case {"linear": widths}:
            raise ConfigError(f"{where}: linear is {widths!r}; expected [features, outputs]")
        case {"residual": inside}:
            block = _sequence(f"{where}.residual", inside)
            return Residual(block, **_options(where, Residual, entry, after=1))
    raise ConfigError(
        f"{where} is {entry!r}; expected linear = […], residual = […] or an activation"
    )


def _activation(entry: Any) -> Block:
    """An activation by its name, its formula, or a table with its name and options."""
    if isinstance(entry, str):
        plain = _squashed(entry)
        return BY_NAME[plain]() if plain in BY_NAME else activation(entry)
    return _chosen("activation", BY_NAME, entry)


def _chosen(kind: str, rows: Mapping[str, Callable[..., Made]], entry: Any) -> Made:
    """The row that a name, or a table with ``name`` and options, asks for."""
    named = entry if isinstance(entry, dict) else {"name": entry}
    name = named.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"{kind} is {entry!r}; expected a name, or a table with a name")
    by_plain_name = {_squashed(each): make for each, make in rows.items()}
    make = by_plain_name.get(_squashed(name)) or by_plain_name.get(_squashed(name) + "loss")
    if make is None:
        raise unknown(kind, name, rows)
    return make(**_options(f"{kind} {name!r}", make, named))


def _options(
    where: str, make: Callable[..., Any], given: Mapping[str, Any], after: int = 0
) -> dict[str, Any]:
    """The keyword options among what is given, with values of their defaults' types.

    The first ``after`` parameters are no options.
    """
    known = dict(list(inspect.signature(make).parameters.items())[after:])
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("name", "linear", "residual"):
            continue
        if name not in known:
            raise unknown(f"option of {where}:", name, known)
        default = known[name].default
        if isinstance(default, float):
            value = _number(f"{where}: {name}", value)
        require(f"{where}: {name}", value, type(default), f"one such as {default!r}")
        checked[name] = value
    return checked


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{where} is {value!r}; expected a number")
    return float(value)


def _squashed(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _activations(block: Block) -> Iterator[Elementwise]:
    match block:
        case Elementwise():
            yield block
        case Residual():
            yield from _activations(block.block)
        case Sequential():
            for each in block.blocks:
                yield from _activations(each)
