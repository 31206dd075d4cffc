"""The page as text: the form's choices come from the tables that the library itself has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from pullback.explore.samples import LABELS
from pullback.explore.setup import MOST_EPOCHS, Setup
from pullback.net.recipe import LOSSES, SCHEMES
from pullback.nn.activation import BY_NAME
from pullback.report.sections.derivation import CONVENTIONS

_UNSUITED = ("constant",)  # all units of a layer would stay alike


@lru_cache
def page() -> str:
    """The HTML of the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pullback.explore", "static"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("explore.html").render(
        data=LABELS,
        activations={name: made.__name__ for name, made in BY_NAME.items()},
        inits=_spelt(name for name in SCHEMES if name not in _UNSUITED),
        losses=_spelt(LOSSES),
        paces={"watch": "to watch", "slow": "slow", "full": "full speed"},
        conventions=CONVENTIONS,
        setup=Setup(),
        most_epochs=MOST_EPOCHS,
    )


def _spelt(names: Iterable[str]) -> dict[str, str]:
    """Names with how they are shown."""
    return {name: name.replace("_", " ") for name in names}
