"""The API as Markdown pages, made from the docstrings: signature, words, examples."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pullback as pb


@dataclass(frozen=True)
class Subject:
    """A page: its title, names of the face, and what else belongs there by its dotted path."""

    title: str
    face: tuple[str, ...]
    beside: tuple[str, ...] = ()


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SUBJECTS = {
    "networks": Subject(
        "Networks",
        _names(
            "Network Trace ravel check Sequential Linear Residual Identity Sigmoid Tanh ReLU "
            "LeakyReLU PReLU ELU SELU GELU SiLU Mish Softplus LogSigmoid Softsign Sin Erf ReLU6 "
            "Hardtanh Hardsigmoid Hardswish Activation Softmax LogSoftmax GLU LayerNorm RMSNorm "
            "GroupNorm Conv1d Conv2d ConvTranspose1d ConvTranspose2d MaxPool1d MaxPool2d "
            "AvgPool1d AvgPool2d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d "
            "AdaptiveMaxPool2d Flatten Unflatten Upsample BatchNorm1d BatchNorm2d Dropout "
            "Dropout1d Dropout2d Concat Parallel Loss SquaredError MSELoss L1Loss SmoothL1Loss "
            "HuberLoss CrossEntropy NLLLoss BinaryCrossEntropy BCELoss LogisticLoss "
            "PoissonNLLLoss GaussianNLLLoss KLDivLoss Embedding MultiheadAttention "
            "TransformerEncoderLayer RNN GRU LSTM scaled_dot_product_attention"
        ),
        ("pullback.nn.init",),
    ),
    "training": Subject(
        "Training",
        _names("fit save load summary join_processes Checkpoints EarlyStopping"),
        (
            "pullback.data.load.load",
            "pullback.data.dataset.Dataset",
            "pullback.data.preprocessing.Preprocessing",
            "pullback.train.saved.Trained",
            "pullback.train.prediction.Prediction",
            "pullback.train.history.FitResult",
            "pullback.train.watch.Watched",
            "pullback.train.optim",
            "pullback.estimators.classifier.NetClassifier",
            "pullback.estimators.regressor.NetRegressor",
        ),
    ),
    "derive": Subject(
        "Derivations",
        _names("derive Derivation expr Expression expect normal Expectation"),
        (
            "pullback.derive.Step",
            "pullback.derive.EquationList",
            "pullback.derive.neurons.table.Neurons",
            "pullback.derive.expectation.integrals.GaussianIntegral",
            "pullback.derive.expectation.sampling.Simulation",
            "pullback.diagram.Diagram",
        ),
    ),
    "plan": Subject(
        "Order",
        _names(
            "jacobian plan_chain chain_product accumulate Accumulation plan_memory least_squares "
            "ntk ggn_vector_product laplace curvature spectrum"
        ),
        (
            "pullback.plan.jacobian.base.Jacobian",
            "pullback.plan.chain.plan.Plan",
            "pullback.plan.memory.record.MemoryPlan",
            "pullback.plan.jacobian.choice.Ways",
            "pullback.plan.uses.fitted.LeastSquares",
            "pullback.plan.curvature.laplace.Laplace",
            "pullback.plan.curvature.record.Curvature",
            "pullback.plan.curvature.spectrum.CurvatureSpectrum",
        ),
    ),
    "moments": Subject(
        "Forecasts",
        _names("forecast phase_diagram assert_gradients_ok"),
        (
            "pullback.moments.answer.forecast.Forecast",
            "pullback.moments.answer.record.LayerForecast",
            "pullback.moments.answer.record.Answered",
            "pullback.moments.answer.advice.Advice",
            "pullback.moments.answer.explain.Explanation",
            "pullback.moments.answer.phase.PhaseDiagram",
        ),
    ),
    "doctor": Subject(
        "Doctor",
        _names("doctor"),
        ("pullback.doctor.finding.Diagnosis", "pullback.doctor.finding.Finding"),
    ),
    "closed": Subject(
        "Closed forms",
        _names("closed_form ClosedForm Recurrence FixedPoint StateSpace"),
        ("pullback.closed.network.region.LinearRegion", "pullback.closed.network.paths.PathSum"),
    ),
    "interop": Subject("In and out", _names("from_torch to_torch to_jax from_onnx to_onnx report")),
    "laws": Subject("Checkers and errors", (), ("pullback.laws", "pullback.errors")),
}
_MANY = 6  # parameters, from which on a table lists them
MODULES = frozenset({"init", "optim", "laws", "errors"})  # of the face; each has its page above


def pages() -> Iterator[tuple[str, str]]:
    """The path and the Markdown of every page; raises LookupError for a name without a page."""
    told = {name for subject in SUBJECTS.values() for name in subject.face} | MODULES
    if missing := sorted(set(pb.__all__) - told):
        raise LookupError(f"no page of the API tells of {', '.join(missing)}: see SUBJECTS")
    for stem, subject in SUBJECTS.items():
        parts = [f"# {subject.title}"]
        parts += [entry(f"pb.{name}", getattr(pb, name)) for name in subject.face]
        for path in subject.beside:
            parts += _of(path)
        yield f"api/{stem}.md", "\n\n".join(parts) + "\n"


def _of(path: str) -> Iterator[str]:
    """The entries of a module's public names, or of one class in it."""
    module, _, name = path.rpartition(".")
    try:
        found = importlib.import_module(path)
    except ModuleNotFoundError:
        yield entry(path, getattr(importlib.import_module(module), name))
        return
    yield f"## {path}"
    yield words(inspect.getdoc(found) or "")
    public = getattr(found, "__all__", None) or _defined(found)
    for each in public:
        member = getattr(found, each)
        if inspect.isclass(member) or inspect.isfunction(member):
            yield entry(each, member, level=3)


def _defined(module: Any) -> list[str]:
    """What a module that lists no names defines; of one with errors, only these."""
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }
    errors = [n for n, v in found.items() if inspect.isclass(v) and issubclass(v, Exception)]
    return errors or list(found)


def entry(name: str, value: Any, level: int = 2) -> str:
    """One name: a heading, its signature, its docstring, and a class's members."""
    told = words(inspect.getdoc(value) or "")
    parts = [f"{'#' * level} {name}", _signature(name, value), told, _table(value)]
    if inspect.isclass(value):
        parts += _members(value, level + 1)
    return "\n\n".join(part for part in parts if part)


def _members(cls: type, level: int) -> Iterator[str]:
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        function = inspect.unwrap(getattr(value, "func", None) or getattr(value, "fget", value))
        function = getattr(function, "__func__", function)  # of a class method
        if not inspect.isfunction(function) or not function.__doc__:
            continue
        called = callable(value) or isinstance(value, classmethod | staticmethod)
        shown = f"**`{_one_line(name, function) if called else name}`**"
        yield f"{shown}\n\n{words(inspect.getdoc(function) or '')}"


def _table(value: Any) -> str:
    """The parameters of a call one below the other, where there are more than a line shows."""
    try:
        found = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return ""
    shown = [each for each in found if each.name not in ("self", "cls")]
    if len(shown) < _MANY or inspect.isabstract(value):
        return ""
    rows = ["| parameter | type | default |", "|---|---|---|"]
    for each in shown:
        kind = "" if each.annotation is each.empty else _cell(str(each.annotation))
        default = "required" if each.default is each.empty else _cell(_short(each.default))
        rows.append(f"| `{each.name}` | {kind} | {default} |")
    return "\n".join(rows)


def _short(default: Any) -> str:
    return re.sub(r"^(\w+)\(.+\)$", r"\1(…)", repr(default))


def _cell(text: str) -> str:
    """Code in a table, in which a bar would begin the next cell."""
    return "`" + _clean_text(text).replace("|", "\\|") + "`"


def _one_line(name: str, function: Any) -> str:
    return name + _clean(inspect.signature(function))


def _signature(name: str, value: Any) -> str:
    if not callable(value) or inspect.isabstract(value):
        return ""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    text = f"{name}{_clean(signature)}"
    if len(text) > 88:
        inside = ",\n".join(f"    {each}" for each in _parameters(signature))
        returns = _returns(signature)
        text = f"{name}(\n{inside},\n){returns}"
    return f"```python\n{text}\n```"


def _parameters(signature: inspect.Signature) -> list[str]:
    shown, starred = [], False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        shown.append(_clean_text(str(parameter)))
    return shown


def _returns(signature: inspect.Signature) -> str:
    given = signature.return_annotation
    return (
        "" if given in (inspect.Signature.empty, None, "None") else f" -> {_clean_text(str(given))}"
    )


def _clean(signature: inspect.Signature) -> str:
    return f"({', '.join(_parameters(signature))}){_returns(signature)}"


def _clean_text(text: str) -> str:
    """An annotation as a person writes it: no quotes around it, no module before it."""
    text = re.sub(r"(: |^)'([^']*)'", r"\1\2", text)
    text = re.sub(r"= (\w+)\(.+\)$", r"= \1(…)", text)  # a default that is a record
    text = re.sub(r"<(?:class|(?:built-in )?function) '?([\w.]+)[^>]*>", r"\1", text)
    return re.sub(r"\b(?:pullback|numpy|typing|collections)\.(?:\w+\.)*(\w+)", r"\1", text)


def words(doc: str) -> str:
    """A docstring as Markdown: examples become code, indented blocks stay as they are."""
    parts = []
    for block in re.split(r"\n\s*\n", doc):
        if block.lstrip().startswith(">>>"):
            parts.append(f"```pycon\n{block}\n```")
        elif block.startswith("    "):
            parts.append(f"```text\n{inspect.cleandoc(block)}\n```")
        else:
            told, mark, example = block.partition("\n>>>")
            parts.append(_prose(told))
            if mark:
                parts.append(f"```pycon\n>>>{example}\n```")
    return "\n\n".join(parts)


def _prose(text: str) -> str:
    """Words in which stars, brackets and signs mean themselves; ``code`` stays code."""
    pieces = re.split(r"(``.*?``|`[^`]*`)", text, flags=re.DOTALL)
    for at in range(0, len(pieces), 2):
        pieces[at] = re.sub(r"([*_\[\]])", r"\\\1", pieces[at]).replace("<", "&lt;")
    return "".join(pieces)
