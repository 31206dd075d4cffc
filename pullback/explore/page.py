"""The page as text: the form's choices come from the tables that the library itself has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from pullback.explore.brought import OWN, Brought
from pullback.explore.setup import MOST_EPOCHS, Setup
from pullback.net.recipe import LOSSES, SCHEMES
from pullback.nn.activation import BY_NAME
from pullback.report.sections.derivation import CONVENTIONS

_UNSUITED = ("constant",)  # all units of a layer would stay alike
_ITS_OWN = "the network's own"


@lru_cache
def page(given: Brought) -> str:
    """The HTML of the page, for a network of its form or for one that is given."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    picked = given.form()

    def own(field: str, names: dict[str, str]) -> dict[str, str]:
        return {OWN: _ITS_OWN, **names} if picked.get(field) == OWN else names

    environment = Environment(
        loader=PackageLoader("pullback.explore", "static"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("explore.html").render(
        net=given.net,
        data=given.choices,
        activations={name: made.__name__ for name, made in BY_NAME.items()},
        inits=own("init", _spelt(name for name in SCHEMES if name not in _UNSUITED)),
        losses=own("loss", _spelt(LOSSES)) if picked.get("loss") != OWN else {OWN: _ITS_OWN},
        paces={"watch": "to watch", "slow": "slow", "full": "full speed"},
        conventions=CONVENTIONS,
        setup=replace(Setup(), **picked),
        most_epochs=MOST_EPOCHS,
    )


def _spelt(names: Iterable[str]) -> dict[str, str]:
    """Names with how they are shown."""
    return {name: name.replace("_", " ") for name in names}
