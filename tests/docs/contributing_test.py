"""What CONTRIBUTING.md shows is pasted where it says, and works in every reader and language."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

USE = """
import numpy as np
import pullback as pb
from pullback.net.program import execute

net = pb.Network(
    pb.Sequential(pb.Linear(3, 4), pb.Activation("softsign(x)"), pb.Linear(4, 2)), pb.MSELoss()
)
rng = np.random.default_rng(0)
X, Y, params = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), net.init(0)
assert pb.check(net, params, X, Y).ok
value, grads = net.value_and_grad(params, X, Y)
z = X @ params["0.weight"].T + params["0.bias"]
a = z / (1 + np.abs(z))
assert np.isclose(value, np.mean((a @ params["2.weight"].T + params["2.bias"] - Y) ** 2))
given = {"numpy": np.asarray, "numba": np.asarray}
try:
    import torch
    given["torch"] = torch.as_tensor
    import jax
    jax.config.update("jax_enable_x64", True)
    given["jax"] = jax.numpy.asarray
except ImportError:
    pass
for target, array in given.items():
    run = execute(pb.derive(net).code(target), {})["value_and_grad"]
    got, slopes = run({k: array(v) for k, v in params.items()}, array(X), array(Y))
    assert np.isclose(float(got), value), target
    assert all(np.allclose(np.asarray(slopes[k]), g) for k, g in grads.items()), target
steps = {e: pb.fit(net, X, Y, params, engine=e, epochs=1, batch_size=None, progress=False)
         for e in ("numpy", "compiled")}
for name, weight in steps["numpy"].params.items():
    assert np.allclose(steps["compiled"].params[name], weight), name
assert "softsign" in pb.derive(net).latex()
print("all of it works")
"""


USE_BLOCK = """
import numpy as np
import pullback as pb
from gated import Gated
from pullback.net.program import execute

rng = np.random.default_rng(0)
sigmoid = lambda z: 1 / (1 + np.exp(-z))
for axes, shape in (("features=3", (3,)), ("tokens=4 features=3", (4, 3))):
    net = pb.Network(pb.Sequential(Gated(5), pb.Linear(5, 2)), pb.MSELoss(), x=axes)
    params = net.init(0)
    assert list(params) == ["0.value.weight", "0.gate.weight", "1.weight", "1.bias"]
    X, Y = rng.normal(size=(6, *shape)), rng.normal(size=(6, *shape[:-1], 2))
    h = (X @ params["0.value.weight"].T) * sigmoid(X @ params["0.gate.weight"].T)
    value, grads = net.value_and_grad(params, X, Y)
    assert np.isclose(value, np.mean((h @ params["1.weight"].T + params["1.bias"] - Y) ** 2))
    assert pb.fit(net, X, Y, params, epochs=1, batch_size=None, progress=False).params
    for name, weight in params.items():
        step = 1e-6 * rng.normal(size=weight.shape)
        ends = [net.loss({**params, name: weight + s * step}, X, Y) for s in (1, -1)]
        assert np.isclose(ends[0] - ends[1], 2 * np.sum(grads[name] * step), rtol=1e-5), name
net = pb.Network(pb.Sequential(Gated(5), pb.Linear(5, 2)), pb.MSELoss(), x="features=3")
X, Y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
value, grads = net.value_and_grad(params, X, Y)
got, slopes = execute(pb.derive(net).code("numpy"), {})["value_and_grad"](params, X, Y)
assert np.isclose(got, value)
assert all(np.allclose(slopes[name], grad) for name, grad in grads.items())
assert pb.check(net, params, X, Y).ok
print("all of it works")
"""


def snippets() -> tuple[str, str]:
    """The row and the block that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row, block = (part.partition("```")[0] for part in text.split("```python\n")[1:])
    return row, block


def ran(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script run where this folder is looked into first."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": path}, cwd=folder,
        capture_output=True, text=True,
    )  # fmt: skip


def test_the_row_that_is_shown_works_everywhere(tmp_path: Path) -> None:
    row, _ = snippets()
    assert row.startswith("row(\n")
    package = tmp_path / "pullback"
    shutil.copytree(ROOT / "pullback", package, ignore=shutil.ignore_patterns("__pycache__"))
    table = package / "ir" / "scalar" / "primitives.py"
    text = table.read_text(encoding="utf-8")
    pasted = "".join(f"    {line}\n" if line else "\n" for line in row.splitlines())
    place = "    return rows\n\n\ndef _function"
    assert place in text
    table.write_text(text.replace(place, f"{pasted}{place}"), encoding="utf-8")
    done = ran(USE, tmp_path)
    assert done.stdout.strip() == "all of it works", done.stderr


def test_the_block_that_is_shown_works(tmp_path: Path) -> None:
    _, block = snippets()
    assert block.partition("class Gated")[2].count("\n") <= 14
    (tmp_path / "gated.py").write_text(block, encoding="utf-8")
    done = ran(USE_BLOCK, tmp_path)
    assert done.stdout.strip() == "all of it works", done.stderr
