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
         for e in ("numpy", "numba")}
for name, weight in steps["numpy"].params.items():
    assert np.allclose(steps["numba"].params[name], weight), name
assert "softsign" in pb.derive(net).latex()
print("all of it works")
"""


def snippet() -> str:
    """The row that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.partition("```python\n")[2].partition("```")[0]


def test_the_row_that_is_shown_works_everywhere(tmp_path: Path) -> None:
    assert snippet().startswith("row(\n")
    package = tmp_path / "pullback"
    shutil.copytree(ROOT / "pullback", package, ignore=shutil.ignore_patterns("__pycache__"))
    table = package / "ir" / "scalar" / "primitives.py"
    text = table.read_text(encoding="utf-8")
    pasted = "".join(f"    {line}\n" if line else "\n" for line in snippet().splitlines())
    place = "    return rows\n\n\ndef _function"
    assert place in text
    table.write_text(text.replace(place, f"{pasted}{place}"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", USE], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == "all of it works", done.stderr
