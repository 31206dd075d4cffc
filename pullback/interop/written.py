"""A network as the bytes of another library's file, with facts about it as metadata."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.interop.extras import library
from pullback.interop.onnx.write import to_onnx
from pullback.interop.torch.write import to_torch
from pullback.net.network import Network
from pullback.net.program import Array

_FACTS = "pullback"  # the key of the metadata
_BATCH = 2  # samples that a network is traced with; any number may come


def onnx_bytes(net: Network, params: Mapping[str, Array], facts: Mapping[str, Any]) -> bytes:
    """An .onnx file; facts are JSON in its metadata. Raises the errors of ``to_onnx``."""
    onnx: Any = library("onnx", "onnx")
    model = onnx.load_from_string(to_onnx(net, params))
    entry = model.metadata_props.add()
    entry.key, entry.value = _FACTS, json.dumps(dict(facts))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def torch_bytes(net: Network, params: Mapping[str, Array], facts: Mapping[str, Any]) -> bytes:
    """A .pt2 file, which ``torch.export.load(path).module()`` reads without any code of ours.

    Facts are JSON in its extra file ``pullback``. Raises the errors of ``to_torch``.
    """
    torch: Any = library("torch", "torch")
    module = to_torch(net, params).eval()
    sizes = [axis.size or 1 for axis in net.x.axes[1:]]
    dtype = next((value.dtype for value in params.values()), np.dtype(np.float32))
    example = torch.from_numpy(np.zeros((_BATCH, *sizes), dtype))
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(module, (example,), dynamic_shapes=(batch,))
    held = io.BytesIO()
    torch.export.save(program, held, extra_files={_FACTS: json.dumps(dict(facts))})
    return held.getvalue()
