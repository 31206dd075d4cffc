"""Node.js beside Python: it runs modules of JavaScript on typed arrays."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

# reads {source, function, given} a line, and answers what the function gives back, or {fault}
DRIVER = """
const typed = (value) => {
  if (Array.isArray(value)) return value.map(typed);
  if (value === null || typeof value !== "object") return value;
  if (!value.type) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, typed(v)]));
  const array = new globalThis[value.type](value.data);
  return value.shape ? Object.assign(array, { shape: value.shape }) : array;
};
const plain = (key, value) => ArrayBuffer.isView(value)
  ? { type: value.constructor.name, data: [...value].map((v) => plain("", v)) }
  : typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
const lines = (await import("node:readline")).createInterface({ input: process.stdin });
for await (const line of lines) {
  const { source, name, given } = JSON.parse(line);
  let found;
  try {
    const module = await import("data:text/javascript," + encodeURIComponent(source));
    found = { found: module[name](...given.map(typed)) };
  } catch (fault) {
    found = { fault: `${fault.name}: ${fault.message}` };
  }
  console.log(JSON.stringify(found, plain));
}
"""


class Node:
    """One process of Node.js that runs modules."""

    def __init__(self, path: str) -> None:
        command = [path, "--input-type=module", "--eval", DRIVER]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __call__(self, source: str, name: str, *given: Any) -> Any:
        """What a function of a module gives back; raises RuntimeError with what it threw."""
        message = {"source": source, "name": name, "given": [_typed(each) for each in given]}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "fault" in answer:
            raise RuntimeError(answer["fault"])
        return _arrays(answer["found"])


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _typed(each) for key, each in value.items()}
    array = np.asarray(value)
    if not array.ndim:
        return array.item()
    kinds = {"f4": "Float32Array", "f8": "Float64Array"}
    kind = kinds.get(array.dtype.str[1:], "Int32Array")
    return {"type": kind, "data": array.ravel().tolist(), "shape": list(array.shape)}


def _arrays(value: Any) -> Any:
    if isinstance(value, list):
        return [_arrays(each) for each in value]
    if isinstance(value, dict) and "type" in value:
        kinds = {"Float32Array": np.float32, "Float64Array": np.float64, "Int32Array": np.int32}
        return np.asarray(list(map(float, value["data"])), kinds[value["type"]])
    if isinstance(value, dict):
        return {key: _arrays(each) for key, each in value.items()}
    return float(value)


@contextmanager
def started() -> Iterator[Node]:
    """A process that ends with the context; the test is skipped where there is no Node.js."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("there is no Node.js on the PATH; tests/browser runs the same in Chromium")
    found = Node(path)
    yield found
    found.process.communicate()
