"""The last section: everything that the numbers depend on, and how to get them again."""

from __future__ import annotations

from html import escape

import numpy as np

from pullback.report.drawing.tables import scrolled
from pullback.report.sections.section import Section
from pullback.report.sections.story import Story
from pullback.report.words.numbers import brief, seconds
from pullback.report.words.provenance import processor, system, versions
from pullback.report.words.schemes import called


def about(story: Story, command: str | None) -> Section:
    """The command, the network, the data, the seed, the times, the machine, the versions."""
    net, schedule = story.net, story.schedule
    parameters = sum(int(np.prod(spec.shape)) for spec in net.specs)
    facts = {
        "network": repr(net),
        "parameters": f"{parameters:,}",
        "training samples": f"{len(story.train[1]):,}",
        "test samples": f"{len(story.shown[1]):,}" if story.tested else "none",
        "precision": str(next(iter(story.params.values())).dtype),
        "seed": str(story.seed),
    }
    if schedule is not None:
        facts |= {
            "optimiser": brief(schedule.optimizer),
            "batch size": str(schedule.batch_size or "all samples"),
            "epochs": str(schedule.epochs),
            "initialiser": called(schedule.scheme),
        }
    times = {f"time for the {part}": seconds(spent) for part, spent in story.seconds.items()}
    facts |= times | {"machine": processor(), "system": system()} | versions()
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return Section(
        "about",
        "How it was made",
        f"Everything on this page was computed in {seconds(sum(story.seconds.values()))}, and "
        f"comes out the same again from seed {story.seed}, times aside.",
        "measured",
        "Times are wall-clock, of one run, on the machine named above.",
        (
            _again(command or call(story)),
            scrolled(f'<table class="facts"><tbody>{rows}</tbody></table>', "Facts"),
        ),
    )


def call(story: Story) -> str:
    """The Python call that makes the same page."""
    schedule = story.schedule
    if schedule is None:
        given = "result=result" if story.result is not None else "params=params"
        return f"pb.report(net, X, Y, {given}, seed={story.seed})"
    options = [
        f"epochs={schedule.epochs}",
        f"optimizer=pb.optim.{brief(schedule.optimizer)}",
        f"batch_size={schedule.batch_size}",
        f"seed={story.seed}",
    ]
    if schedule.scheme is not None:
        name = called(schedule.scheme)
        options.append(f"scheme={'pb.' if name.startswith('init.') else ''}{name}")
    return f"pb.report(net, X, Y, {', '.join(options)})"


def _again(command: str) -> str:
    text = escape(command)
    return (
        f'<div class="again"><p>The same page again:</p><pre tabindex="0"><code>{text}</code></pre>'
        f'<p><button type="button" class="button" data-latex="{text}">Copy the command</button></p>'
        "</div>"
    )
