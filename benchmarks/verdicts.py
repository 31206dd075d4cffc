"""The forecast's verdict of torch models beside that of networks drawn: how often they agree.

    python benchmarks/verdicts.py [models.py] [--only NAME …]

A file of models holds CASES, a dict of name to {"build": function}; a build is (module, inputs, Y,
loss). For each: the verdict of the module as it is, that by law, that of 100 draws of ours, and
that of 20 builds, by hooks of torch on Linear and convolution; and RMS δ by law over that of the
draws, at the layers where it is lowest and highest, with what the law is said to be.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

import pullback as pb
from pullback.errors import PullbackError

BUILDS, DRAWS = 20, 100
SMALL, LARGE = 0.1, 10.0


def chain(width: int, depth: int, activation: Any) -> Any:
    hidden = [part for _ in range(depth) for part in (nn.Linear(width, width), activation())]
    module = nn.Sequential(*hidden, nn.Linear(width, 10))
    return module, torch.randn(12, width), torch.arange(12) % 10, nn.CrossEntropyLoss()


def images() -> Any:
    module = nn.Sequential(
        nn.Conv2d(3, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 10),
    )  # fmt: skip
    return module, torch.randn(12, 3, 8, 8), torch.arange(12) % 10, nn.CrossEntropyLoss()


def tokens() -> Any:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True)
            self.layer, self.head = layer, nn.Linear(128, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.layer(x).mean(1))

    return Encoder(), torch.randn(12, 8, 128), torch.arange(12) % 3, nn.CrossEntropyLoss()


CASES: dict[str, dict[str, Any]] = {
    "ReLU, 20 layers of 128": {"build": lambda: chain(128, 20, nn.ReLU)},
    "tanh, 3 layers of 128": {"build": lambda: chain(128, 3, nn.Tanh)},
    "convolutions": {"build": images},
    "encoder layer": {"build": tokens},
}


def built(case: dict[str, Any], seed: int) -> tuple[Any, tuple[Any, ...], Any, Any]:
    torch.manual_seed(seed)
    module, inputs, Y, loss = case["build"]()
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    doubled = [x.double() if x.is_floating_point() else x for x in (*several, Y)]
    return module.double().eval(), tuple(doubled[:-1]), doubled[-1], loss


def hooked(case: dict[str, Any]) -> Any:
    """RMS δ at each Linear and convolution over that of the last one, over all builds."""
    total: Any = 0.0
    _, inputs, Y, loss = built(case, 0)
    for seed in range(BUILDS):
        module, kept = built(case, seed)[0], []

        def keep(module: Any, args: Any, out: Any, kept: Any = kept) -> None:
            if out.requires_grad:
                out.retain_grad()
                kept.append(out)

        for part in module.modules():
            if isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d)):
                part.register_forward_hook(keep)
        out = module(*inputs)
        loss(out[0] if isinstance(out, tuple) else out, Y).backward()
        total = total + np.array(
            [0.0 if z.grad is None else float((z.grad**2).sum()) for z in kept]
        )
    reached = np.flatnonzero(total)  # not by a loss of the first output alone: other heads
    if not len(reached):
        return np.array([])
    return np.sqrt(total[: reached[-1] + 1] / total[reached[-1]])


def word(ratios: Any) -> str:
    if not len(ratios):
        return "–"
    return "exploding" if max(ratios) > LARGE else "vanishing" if min(ratios) < SMALL else "healthy"


@dataclass
class Row:
    """The four verdicts, RMS δ by law over that drawn at each layer, and what the law is called."""

    words: list[str]
    ratios: Any
    kind: str
    within: float  # of RMS δ, as the forecast says; 15 % where it says nothing

    @property
    def is_kept(self) -> bool:
        """Is every law as near as it is said to be? What is measured is."""
        return not (np.abs(self.ratios - 1) > self.within).any()


def measure(case: dict[str, Any]) -> Row:
    module, inputs, Y, loss = built(case, 0)
    X = inputs if len(inputs) > 1 else inputs[0]
    methods = ("independence", "coupled", "monte_carlo")
    f = pb.forecast(module, X, Y, loss=loss, methods=methods, draws=DRAWS, progress=False)
    layers = [x for x, has in zip(f.layers, f.tried.weighted, strict=True) if has]
    said = [x.delta_ms.get("coupled", x.delta_ms.get("independence")) for x in layers]
    size = np.sqrt([x.n_out for x in layers])
    drawn = size * np.sqrt([float(x.delta_ms["monte_carlo"]) for x in layers])
    law = size * np.sqrt([np.nan if x is None else float(x) for x in said])
    law = np.where(np.isnan(law), drawn, law)  # without a law the forecast is measured
    kinds = "/".join(dict.fromkeys("measured" if x is None else x.kind for x in said))
    loose = [0.0 if f.theory.why_not else f.theory.looseness(x.index)[0] for x in layers]
    words = [f.verdict, *(word(each / each[-1]) for each in (law, drawn)), word(hooked(case))]
    return Row(words, law / drawn, kinds, max(0.15, *loose))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="?")
    parser.add_argument("--only", nargs="+")
    chosen = parser.parse_args()
    cases = CASES
    if chosen.models:
        spec = importlib.util.spec_from_file_location("models", chosen.models)
        assert spec is not None
        assert spec.loader is not None
        models = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(models)
        cases = models.CASES
    rows: list[Row] = []
    columns = f"{'as it is':<12}{'law':<11}{'drawn':<11}{'builds':<11}"
    print(f"{'model':<32}{columns}{'RMS δ, law/drawn':<18}{'law is a':<22}CPU s")
    for name in chosen.only or cases:
        started = time.process_time()
        try:
            row = measure(cases[name])
        except PullbackError as refused:
            print(f"{name:<32}refused: {str(refused)[:60]}")
            continue
        except (RuntimeError, TypeError, AttributeError) as failed:  # of a loss that is no number
            print(f"{name:<32}not compared: {str(failed)[:60]}")
            continue
        rows.append(row)
        span = f"{min(row.ratios):.2f} to {max(row.ratios):.2f}"
        said = row.kind + (f" ±{row.within:.0%}" if row.within > 0.15 else "")
        seconds = time.process_time() - started
        own, law, drawn, builds = row.words
        compared = f"{own:<12}{law:<11}{drawn:<11}{builds:<11}"
        print(f"{name:<32}{compared}{span:<18}{said:<22}{seconds:.1f}", flush=True)
    for at, what in ((2, "networks drawn"), (3, "builds")):
        some = [row.words for row in rows if row.words[at] != "–"]
        same = sum(words[1] == words[at] for words in some)
        print(f"law and {what} agree on {same} of {len(some)}")
    print(f"RMS δ within 15 %, or what is said: {sum(r.is_kept for r in rows)} of {len(rows)}")


if __name__ == "__main__":
    main()
