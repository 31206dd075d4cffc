"""``report``: the whole story of a network on one page that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pullback.errors import ConfigError, StorageError
from pullback.files import writable, write_atomically
from pullback.interop.subject import named_arguments
from pullback.moments.answer.subject import subject
from pullback.net.network import Network
from pullback.nn.init import Scheme
from pullback.report.assets import mathematics, script_json, template
from pullback.report.contents import acts_of, sections
from pullback.report.drawing.figures import Figure
from pullback.report.layers import listing_of
from pullback.report.sections import neurons
from pullback.report.sections.outcome import Classified
from pullback.report.sections.section import Choice, Picture, Section
from pullback.report.sections.story import Story, TrainingPlan, gather
from pullback.report.words import verdicts
from pullback.report.words.numbers import collapsed, count, lowered, percent, seconds, short
from pullback.report.words.symbols import facts, hints
from pullback.train.fit import FitResult
from pullback.train.optim import SGD, Optimizer

_SCRIPTS = ("page.js", "neurons.js", "charts.js")
_STYLES = ("style.css", "live.css")
_LONGEST = 60  # characters of widths in a title


@named_arguments
def report(
    net: Any,
    X: Any,
    Y: Any,
    path: str | Path = "report.html",
    *,
    result: FitResult | None = None,
    params: Mapping[str, Any] | None = None,
    test: tuple[Any, Any] | float | None = 0.2,
    epochs: int = 30,
    optimizer: Optimizer = SGD(0.05, momentum=0.9),  # noqa: B008  frozen
    batch_size: int | None = 32,
    scheme: Scheme | None = None,
    seed: int = 0,
    title: str | None = None,
    classes: Sequence[str] | None = None,
    image_shape: tuple[int, int] | None = None,
    features: Sequence[str] | None = None,
    progress: bool = True,
    loss: Any = None,
) -> Path:
    """Write one HTML page about a network on X (batch, …) and Y; it works offline.

    ``net`` is a Network or a torch module. A module is described with the weights that it has,
    unless ``result`` or ``params`` is given: nothing is trained, and it stays as it is. Its
    ``loss``, one of torch's or of ours, is given here.

    The page draws the network and how its error flows back, prints its equations, checks its
    gradient, trains it and shows what it predicts. A share ``test`` of the samples is held out, or
    ``test`` is a pair (X, Y). Give ``result`` (of ``fit``) or ``params`` to tell of a network that
    is trained already; then ``test`` counts only as a pair. X of a network with several inputs is a
    dict of arrays by name. ``classes`` are the classes' names, ``image_shape`` is (height, width)
    if samples are pictures; square ones are noticed, and axes of these names say it. ``features``
    are the columns' names.
    A section that does not apply to a network says why.

    Raises StorageError where the page cannot be written, whose ``params`` are those that were
    learnt, ConfigError for options that do not go together, ConversionError for a module that
    cannot be read, and the errors of ``fit`` and
    ``check``.

    >>> import numpy as np, pullback as pb, tempfile
    >>> X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    >>> net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 2)),
    ...                  loss=pb.CrossEntropy())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = report(net, X, X[:, 0] > 0, f"{folder}/report.html", epochs=2, progress=False)
    ...     page.name
    'report.html'
    """
    path = writable(path)
    if result is not None and params is not None:
        raise ConfigError("give result or params, not both: a result has its parameters")
    given = result if result is not None else params
    if not isinstance(net, Network) or loss is not None:
        found = subject(net, X, Y, None, loss)
        net, X, Y = found.net, found.X, found.Y
        scheme = found.scheme if scheme is None else scheme
        given = found.params if given is None else given
    schedule = TrainingPlan(epochs, optimizer, batch_size, scheme, seed, progress)
    story = gather(net, X, Y, schedule, given, test, classes, image_shape, features)
    return write(story, path, title)


def write(
    story: Story, path: str | Path, title: str | None = None, command: str | None = None
) -> Path:
    """The page of a story, whole or not at all; ``command`` is what makes the same again."""
    content = render(story, title or _title(story), command).encode()
    try:
        return write_atomically(path, content)
    except StorageError as fault:  # what was learnt is not lost with it
        fault.result, fault.params = story.result, story.params
        raise


def render(story: Story, title: str, command: str | None = None) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("pullback.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = lambda text: f"data:text/csv;charset=utf-8,{quote(text)}"
    environment.filters["set"] = lambda text: lowered(str(text))
    environment.tests["figure"] = lambda item: isinstance(item, Figure)
    environment.tests["picture"] = lambda item: isinstance(item, Picture)
    environment.tests["choice"] = lambda item: isinstance(item, Choice)
    parts: list[Section] = list(sections(story, command))
    listing = listing_of(story.net)
    figures = {i.name: i.json for s in parts for i in s.items if isinstance(i, Figure)}
    known = hints(facts(story, listing)) | neurons.hints(story.neurons)
    modules = [section.script for section in parts if section.script]
    plotly = get_plotlyjs()
    script = (
        f"\nconst FIGURES = {script_json(figures)};\nconst HINTS = {script_json(known)};\n"
        f"{''.join(map(template, _SCRIPTS))}"
    )
    return environment.get_template("page.html").render(
        title=title,
        headline=verdicts.headline(story),
        tiles=_tiles(story),
        acts=acts_of(parts),
        modules=modules,
        policy=_policy(script, plotly, *modules),
        style=mathematics() + "".join(map(template, _STYLES)),
        script=script,
        plotly=_packed(plotly),
    )


def _policy(*scripts: str) -> str:
    """What the page may do: run these scripts, and load nothing.

    Styles stay open: bars have their widths in attributes and Plotly brings sheets of its own.
    They can fetch nothing either.
    """
    digests = (base64.b64encode(sha256(text.encode()).digest()).decode() for text in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def _tiles(story: Story) -> dict[str, str]:
    """The few numbers that stand at the top."""
    found = story.outcome
    where = "test" if story.tested else "training"
    tiles = {"training": "diverged"} if story.diverged else {}
    if isinstance(found, Classified):
        tiles[f"{where} accuracy"] = percent(found.accuracy)
    else:
        tiles["variance explained"] = percent(found.r2)
    if not isinstance(story.gradient, str):
        worst = max(story.gradient.errors.values())
        tiles["worst gradient error"] = short(worst) if worst else "rounding"
    tiles["parameters"] = f"{sum(math.prod(spec.shape) for spec in story.net.specs):,}"
    if story.result is not None and "seconds" in story.result.history:
        tiles["training time"] = seconds(sum(story.result.history["seconds"]))
    return tiles


def _title(story: Story) -> str:
    if not story.layers:
        return "A network, forward and back"
    layers = story.layers
    sizes = [each.sizes for each in (*layers.sources, *layers)]
    widths = collapsed("×".join(map(str, each)) or "1" for each in sizes)
    if len(widths) > _LONGEST or len(layers.sources) > 1:
        return f"A network of {count(len(layers), 'layer')}, forward and back"
    return f"A {widths} network, forward and back"


def _packed(script: str) -> str:
    """A script compressed, as text: a page of 2 MB instead of 5."""
    return base64.b64encode(gzip.compress(script.encode(), 6, mtime=0)).decode()
