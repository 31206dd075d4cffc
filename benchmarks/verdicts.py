"""The forecast's verdict of torch models beside that of networks drawn: how often they agree.

    python benchmarks/verdicts.py [models.py] [--only NAME]

A file of models holds CASES, a dict of name to {"build": function}; a build is (module, inputs, Y,
loss). For each: the verdict of the module as it is, that by law, and that of 20 builds, by hooks
of torch on Linear and convolution; and RMS δ by law over that of 100 draws of ours, at the layers
where it is lowest and highest.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
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
        loss(module(*inputs), Y).backward()
        total = total + np.array(
            [0.0 if z.grad is None else float((z.grad**2).sum()) for z in kept]
        )
    return np.sqrt(total / total[-1])


def word(ratios: Any) -> str:
    if not len(ratios):
        return "–"
    return "exploding" if max(ratios) > LARGE else "vanishing" if min(ratios) < SMALL else "healthy"


def measure(case: dict[str, Any]) -> tuple[str, str, str, Any]:
    module, inputs, Y, loss = built(case, 0)
    X = inputs if len(inputs) > 1 else inputs[0]
    methods = ("independence", "coupled", "monte_carlo")
    f = pb.forecast(module, X, Y, loss=loss, methods=methods, draws=DRAWS, progress=False)
    layers = [x for x, has in zip(f.layers, f.tried.weighted, strict=True) if has]
    laws = [x.delta_ms.get("coupled", x.delta_ms.get("independence", np.nan)) for x in layers]
    law = np.sqrt(np.array(laws, float))
    drawn = np.sqrt([float(x.delta_ms["monte_carlo"]) for x in layers])
    norms = law * np.sqrt([x.n_out for x in layers])
    return f.verdict, word(norms / norms[-1]), word(hooked(case)), law / drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="?")
    parser.add_argument("--only")
    chosen = parser.parse_args()
    cases = CASES
    if chosen.models:
        spec = importlib.util.spec_from_file_location("models", chosen.models)
        assert spec is not None
        assert spec.loader is not None
        models = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(models)
        cases = models.CASES
    same = compared = 0
    print(f"{'model':<34}{'as it is':<13}{'law':<11}{'builds':<11}{'RMS δ, law/drawn':<18}CPU s")
    for name in [chosen.only] if chosen.only else cases:
        started = time.process_time()
        try:
            own, law, builds, ratios = measure(cases[name])
        except PullbackError as refused:
            print(f"{name:<34}refused: {str(refused)[:60]}")
            continue
        except (RuntimeError, TypeError, AttributeError) as failed:  # of a loss that is no number
            print(f"{name:<34}not compared: {str(failed)[:60]}")
            continue
        same, compared = same + (law == builds), compared + 1
        span = f"{np.nanmin(ratios):.2f} to {np.nanmax(ratios):.2f}"
        seconds = time.process_time() - started
        print(f"{name:<34}{own:<13}{law:<11}{builds:<11}{span:<18}{seconds:.1f}", flush=True)
    print(f"law and builds agree on {same} of {compared}")


if __name__ == "__main__":
    main()
