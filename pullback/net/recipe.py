"""Networks from text: a list of widths, a TOML file, or a name in a Python file."""

from __future__ import annotations

import inspect
import reprlib
import runpy
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from pullback import ir
from pullback.errors import ConfigError, PullbackError, finite, require, unknown, whole
from pullback.foreign import regular_file, room_for
from pullback.net.network import Network, Parameters
from pullback.nn import (
    BinaryCrossEntropy,
    Block,
    CrossEntropy,
    HuberLoss,
    L1Loss,
    Linear,
    LogisticLoss,
    Loss,
    MSELoss,
    Residual,
    Sequential,
    SmoothL1Loss,
    SquaredError,
    init,
)
from pullback.nn.activation import BY_NAME, activation

LOSSES: dict[str, Callable[..., Loss]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "logistic_loss": LogisticLoss,
    "squared_error": SquaredError,
    "mse_loss": MSELoss,
    "l1_loss": L1Loss,
    "smooth_l1_loss": SmoothL1Loss,
    "huber_loss": HuberLoss,
}
SCHEMES: dict[str, Callable[..., init.Scheme]] = {
    each.__name__: each
    for each in (
        init.glorot, init.he, init.lecun, init.normal, init.orthogonal, init.uniform,
        init.constant, init.torch_default,
    )
}  # fmt: skip
ALIASES = {  # what others call them
    "xavier": "glorot",
    "kaiming": "he",
    "swish": "silu",
    "bce": "binary_cross_entropy",
    "ce": "cross_entropy",
    "mae": "l1_loss",
}
Made = TypeVar("Made")
MOST_LAYERS = 10_000
_NUMBER = 8  # bytes
_WIDEST = 2**40
_LARGEST = 2**20  # bytes of a TOML file
_DEEPEST = 20  # blocks in blocks
_FAR = 50.0  # where an activation is like its limit


@dataclass(frozen=True)
class Recipe:
    """A model and what was said about its training; ``loss=None`` leaves the loss to the data.

    ``x`` names the axes of a sample, as ``Network`` takes them; ``weights`` are those that a model
    of another library has. Raises ConfigError for more parameters than memory holds.
    """

    model: Block
    loss: Loss | None = None
    l2: float = 0.0
    initial: init.Scheme | None = None
    x: str | Mapping[str, str] = "features"
    weights: Parameters | None = None

    def __post_init__(self) -> None:
        count = sum(prod(spec.shape) for spec in self._plain.specs)
        what = f"a network of {count:,} parameters, with as many gradients,"
        room_for(2 * _NUMBER * count, what, "make its layers narrower", ConfigError)

    @cached_property
    def _plain(self) -> Network:
        return Network(self.model, SquaredError(), x=self.x)

    def network(self, otherwise: Loss) -> Network:
        """The network, with another loss where the recipe has none."""
        return Network(self.model, loss=self.loss or otherwise, l2=self.l2, x=self.x)

    @property
    def scheme(self) -> init.Scheme:
        """The initialiser: the recipe's own, or He's for one-sided activations, or Glorot's."""
        if self.initial is not None:
            return self.initial
        forms = ir.flow(self._plain.built_graph).values()
        functions = {form.function for form in forms if isinstance(form, ir.Pointwise)}
        return init.he() if functions and all(map(_one_sided, functions)) else init.glorot()


def from_layers(widths: str | Sequence[int], activation: str = "tanh") -> Recipe:
    """Linear layers of these widths, features first, with an activation between each two.

    ``"784,300x20,10"`` has twenty layers of 300 units.
    Raises ConfigError for widths that are none, UnknownNameError for an unknown activation.

    >>> from_layers("4,3,2", "relu").model
    Sequential(Linear(4, 3), ReLU(), Linear(3, 2))
    """
    return Recipe(_layered(widths, _activation(activation)))


def from_file(source: str, foreign: Callable[[Any], Recipe | None] = lambda found: None) -> Recipe:
    """The network of a TOML file, or of ``file.py:name``, a model or a Network in a Python file.

    ``foreign`` reads a model of another library there, or returns None for what is none.

    A TOML file has ``layers = [64, 32, 10]`` with ``activation = "tanh"``, or a list ``blocks`` of
    ``{ linear = [64, 32], bias = true }``, ``{ residual = [blocks…], scale = 0.5 }``,
    an activation's name, or ``{ name = "leakyrelu", slope = 0.1 }``. It may also have ``loss`` and
    ``init``, each a name or a table with ``name`` and options, and ``l2``.

    Raises ConfigError or UnknownNameError that names the file, the key and the fix.
    """
    if source.partition(".py:")[2]:
        return _python(source, foreign)
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


def names_in(source: str, *kinds: type) -> tuple[dict[str, Any], str]:
    """What a Python file defines once it has run, and the name that ``file.py:name`` asks for.

    Raises ConfigError where it is no such text or the file raises, UnknownNameError for a name that
    is not there; of those that are, ones of these kinds are offered.
    """
    file, _, name = source.partition(".py:")
    path = Path(f"{file}.py")
    if not name:
        raise ConfigError(f"{source!r} is not file.py:name, as model.py:model is")
    try:
        names = runpy.run_path(str(regular_file(path)), run_name=path.stem)
    except PullbackError:
        raise
    except (Exception, SystemExit) as fault:  # whatever the user's own code raises
        raise ConfigError(f"{path} raised {type(fault).__name__}: {fault}") from fault
    if name not in names:
        own = [
            each
            for each, value in names.items()
            if isinstance(value, kinds) or hasattr(type(value), "state_dict")  # of another library
        ]
        raise unknown(f"name in {path}:", name, own)
    return names, name


def _python(source: str, foreign: Callable[[Any], Recipe | None]) -> Recipe:
    names, name = names_in(source, Block, Network)
    found = names[name]
    read = foreign(found)
    if read is not None:
        return read
    if isinstance(found, Network):
        return Recipe(found.model, found.criterion, found.l2, x=found.declared)
    require(source, found, Block, "a model such as Sequential(…), a Network or a torch module")
    return Recipe(found)


def _toml(path: Path) -> Recipe:
    if regular_file(path).stat().st_size > _LARGEST:
        raise ConfigError(f"{path} is larger than {_LARGEST:,} bytes, too large for a network")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError, OSError) as fault:  # too many digits, too many brackets
        reason = "brackets in brackets" if isinstance(fault, RecursionError) else fault
        raise ConfigError(f"{path} is not a TOML file: {reason}") from None
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


def widths_in(name: str, given: str | Sequence[int]) -> list[int]:
    """Two or more widths, or text with commas between them; 300x20 is twenty times 300.

    Raises ConfigError for widths that are none, before any long list is made.

    >>> widths_in("layers", "784,300x3,10")
    [784, 300, 300, 300, 10]
    """
    shown = f"{name} is {_shown(given)}"
    try:
        parts = _parts(given) if isinstance(given, str) else [(each, 1) for each in given]
        parts = [(_width(n), whole("a number of layers", times)) for n, times in parts]
    except (TypeError, ValueError):
        raise ConfigError(f"{shown}; expected widths such as 64,32,10") from None
    count = sum(times for _, times in parts)
    if count < 2:
        raise ConfigError(f"{shown}; expected two widths or more, such as 64,32,10")
    if count > MOST_LAYERS:
        raise ConfigError(f"{shown}: {count:,} widths; expected at most {MOST_LAYERS:,}")
    return [n for n, times in parts for _ in range(times)]


def _layered(widths: str | Sequence[int], between: Block) -> Block:
    blocks: list[Block] = []
    for n_in, n_out in pairwise(widths_in("layers", widths)):
        blocks += [Linear(n_in, n_out), between]
    return Sequential(*blocks[:-1])


def _parts(text: str) -> list[tuple[int, int]]:
    """Widths between commas, each with how often it comes."""
    parts = [each.partition("x") for each in text.split(",")]
    return [(_digits(n), _digits(times) if x else 1) for n, x, times in parts]


def _width(value: object) -> int:
    width = whole("a width", value)
    if width > _WIDEST:
        raise ConfigError(f"a width is larger than {_WIDEST:,}, which no memory holds")
    return width


def _digits(text: str) -> int:
    """A whole number in plain digits; Python's own reader also takes 1_000 and other scripts."""
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit()):
        raise ValueError(text)
    return int(plain)


def _sequence(where: str, entries: Any, depth: int = 0) -> Block:
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{where} is {_shown(entries)}; expected a list of blocks")
    if len(entries) > MOST_LAYERS:
        raise ConfigError(f"{where} has {len(entries):,} blocks; expected at most {MOST_LAYERS:,}")
    if depth > _DEEPEST:
        raise ConfigError(f"blocks stand in one another more than {_DEEPEST} deep")
    made = (_block(f"{where}[{at}]", entry, depth) for at, entry in enumerate(entries))
    return Sequential(*made)


def _block(where: str, entry: Any, depth: int) -> Block:
    kinds = (
        [key for key in ("name", "linear", "residual") if key in entry]
        if (isinstance(entry, dict))
        else []
    )
    if len(kinds) > 1:
        raise ConfigError(f"{where} has {' and '.join(kinds)}; expected one of them")
    match entry:
        case str() | {"name": _}:
            return _activation(entry)
        case {"linear": [int(n_in), int(n_out)]}:
            widths = _width(n_in), _width(n_out)
            return Linear(*widths, **_options(where, Linear, entry, "linear", after=2))
        case {"linear": widths}:
            raise ConfigError(f"{where}: linear is {_shown(widths)}; expected [features, outputs]")
        case {"residual": inside}:
            block = _sequence(f"{where}.residual", inside, depth + 1)
            return Residual(block, **_options(where, Residual, entry, "residual", after=1))
    raise ConfigError(
        f"{where} is {_shown(entry)}; expected linear = […], residual = […] or an activation"
    )


def _activation(entry: Any) -> Block:
    """An activation by its name, its formula, or a table with its name and options."""
    if isinstance(entry, str):
        plain = ALIASES.get(squashed(entry), squashed(entry))
        return BY_NAME[plain]() if plain in BY_NAME else activation(entry)
    return _chosen("activation", BY_NAME, entry)


def _chosen(kind: str, rows: Mapping[str, Callable[..., Made]], entry: Any) -> Made:
    """The row that a name, or a table with ``name`` and options, asks for."""
    named = entry if isinstance(entry, dict) else {"name": entry}
    name = named.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"{kind} is {_shown(entry)}; expected a name, or a table with a name")
    by_plain_name = {squashed(each): make for each, make in rows.items()}
    plain = squashed(ALIASES.get(squashed(name), name))
    make = by_plain_name.get(plain) or by_plain_name.get(plain + "loss")
    if make is None:
        raise unknown(kind, name, rows)
    return make(**_options(f"{kind} {name!r}", make, named, "name"))


def _options(
    where: str, make: Callable[..., Any], given: Mapping[str, Any], own: str, after: int = 0
) -> dict[str, Any]:
    """The keyword options among what is given, with values of their defaults' types.

    The first ``after`` parameters are no options, nor is the key ``own``, which says what is made.
    """
    known = dict(list(inspect.signature(make).parameters.items())[after:])
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name == own:
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
        raise ConfigError(f"{where} is {_shown(value)}; expected a number")
    try:
        return finite(where, float(value))
    except OverflowError:
        raise ConfigError(f"{where} has more digits than a number holds") from None


def _shown(value: object) -> str:
    """A value from a file, as much of it as a message can hold."""
    try:
        return reprlib.repr(value)
    except ValueError:  # hexadecimal digits without end
        return "a number with thousands of digits"


def squashed(name: str) -> str:
    """A name as people may write it: without case, dashes and blanks."""
    return "".join(char for char in name.lower() if char.isalnum())


def _one_sided(function: ir.Scalar) -> bool:
    """Is it like z far on the right, as ReLU is, and smaller far on the left?"""
    left, right = function([-_FAR, _FAR])
    return bool(abs(left) < right and abs(right - _FAR) < 0.01 * _FAR)
