"""``pullback train`` on jax: its options, a checkpoint, and what makes no sense."""

from __future__ import annotations

import json


def test_training_on_jax_goes_on_from_a_checkpoint(run, tmp_path):
    given = ["train", "--layers", "64,8,10", "-q", "--json", "--engine", "jax", "--processes", "1"]
    given += ["--devices", "1", "--checkpoint", str(tmp_path / "net.safetensors")]
    code, out, err = run(*given, "--epochs", "1")
    assert code == 0, err
    code, resumed, err = run(*given, "--epochs", "2", "--resume")
    assert code == 0, err
    first, both = json.loads(out)["history"]["loss"], json.loads(resumed)["history"]["loss"]
    assert (len(first), both[:1]) == (1, first)


def test_options_of_many_machines_need_jax(run):
    code, _, err = run("train", "--processes", "2")
    assert (code, "need --engine jax; the engine is 'auto'" in err) == (2, True)
    code, _, err = run("train", "--engine", "jax", "--coordinator", "here")
    assert (code, "coordinator is 'here'; expected HOST:PORT of process 0" in err) == (2, True)
    code, _, err = run("train", "--engine", "numpy", "--devices", "2")
    assert (code, "devices need engine='jax', but engine is 'numpy'" in err) == (2, True)
