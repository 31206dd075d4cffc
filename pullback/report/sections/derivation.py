"""The section with the derivation, step by step, in each convention."""

from __future__ import annotations

from html import escape

from pullback.derive import Convention, Derivation, Latex, Step, derive
from pullback.derive.formula.mathml import MathRow, equation_table
from pullback.errors import ConfigError, PullbackError
from pullback.report.drawing.tables import scrolled
from pullback.report.layers import listing_of
from pullback.report.sections.section import Choice, Section
from pullback.report.sections.story import Story
from pullback.report.words import verdicts
from pullback.report.words.symbols import facts, symbol_table

CONVENTIONS: dict[Convention, str] = {
    "columns": "columns",
    "rows": "rows",
    "ng": "Θ, bias first",
    "index": "index by index",
}
MOST_LINES = 80  # of diagrams on a page
DIAGRAMS = (
    "A node is a tensor, an edge an axis: two nodes that share one are multiplied and summed "
    "along it, an edge with a name at its end is an axis of the result, and at a dot several have "
    "one index. A mark shows where a node’s first axis leaves. Point at an edge to see its axis "
    "and its size."
)
_SHUT = ("Total derivative", "Local Jacobians", "The gradient of all", "The mini-batch")


def derivation(story: Story) -> Section:
    """The steps from the composition to the update; a switch chooses the convention."""
    found: dict[str, Derivation] = {}
    why = ""
    for convention, label in CONVENTIONS.items():
        try:
            found[label] = derive(story.net, convention)
        except PullbackError as error:
            why = why or str(error).rstrip(".")
    name, title = "derivation", "Its derivation"
    if not found:
        told = f"There is no derivation for this network: {why}."
        return Section(name, title, told, "exact", "The gradient is checked below.", ())
    listing = listing_of(story.net)
    roles = [each.role for each in listing.equations]
    choice = Choice(
        "convention",
        "Convention",
        {label: steps_html(each) for label, each in found.items()},
        {label: each.latex() for label, each in found.items()},
    )
    symbols = (
        "<details><summary>What the symbols stand for</summary>"
        f"{symbol_table(facts(story, listing))}</details>"
    )
    return Section(
        name,
        title,
        verdicts.equations(roles.count("delta"), roles.count("gradient")),
        "exact",
        "Derived from the network as it runs, not from a textbook: each δ is the transpose of a "
        "linearised step. Point at a symbol to see where else it stands, what it is and how large "
        "it gets; the button beside a line copies it as LaTeX.",
        (choice, diagrams_html(next(iter(found.values()))), symbols),
    )


def steps_html(found: Derivation) -> str:
    """The note, and each step as something that opens; those that tell the most are open."""
    note = f'<p class="caption">{escape(found.note)}</p>' if found.note else ""
    return note + "".join(_step(step, at) for at, step in enumerate(found.steps, start=1))


def diagrams_html(found: Derivation) -> str:
    """The same equations as tensor diagrams, to be opened; nothing where they are too many."""
    try:
        diagram = found.diagram()
    except ConfigError:
        return ""
    if len(diagram.lines) > MOST_LINES:
        return ""
    return (
        "<details><summary>The same as tensor diagrams</summary>"
        f'<p class="caption">{DIAGRAMS}</p>{diagram.html()}</details>'
    )


def _step(step: Step, at: int) -> str:
    latex = Latex(classes=True)
    rows = [
        MathRow(
            latex(line.left), latex(line.right), line.latex(), line.role,
            sign=line.sign, number=f"({line.number})", remark=line.remark,
        )
        for line in step.lines
    ]  # fmt: skip
    shut = "" if step.title.startswith(_SHUT) else " open"
    equations = scrolled(equation_table(rows, styled=False), step.title)
    return (
        f'<details class="step"{shut}><summary>{at}. {escape(step.title)}</summary>'
        f'{equations}<p class="reason">because {escape(step.reason)}</p></details>'
    )
