"""A module as the operators that run: what neither torch.fx nor torch.export makes a graph of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from pullback.interop.rows import Array
from pullback.interop.torch.call import ForwardCall
from pullback.interop.torch.trace import Front, Traced, untraceable, writes

# parts of the derivatives that a forward may take itself, as the formulas that they are
_BACKWARD = ("tanh_backward", "sigmoid_backward", "threshold_backward", "silu_backward",
             "gelu_backward", "softplus_backward", "elu_backward", "leaky_relu_backward",
             "hardtanh_backward", "_softmax_backward_data", "logit_backward")  # fmt: skip
_LEAST = 11  # samples: their number should be no other length


def by_dispatch(examples: tuple[Array, ...]) -> Front:
    """What torch's dispatcher runs on an example: TorchScript, torch.func, gradients in a forward.

    A gradient that is taken inside keeps what it saved as detached; the gradients of the network
    are compared with torch's, so that this is left out. Raises ConversionError where it cannot run.
    """

    def dispatched(torch: Any, module: Any, call: ForwardCall, _: Any) -> Traced:
        make_fx = torch.fx.experimental.proxy_tensor.make_fx
        scripted = isinstance(module, torch.jit.ScriptModule)
        like = next(module.parameters(), torch.zeros(()))
        lengths = {n for x in examples for n in x.shape[1:]}
        lengths |= {n for p in module.parameters() for n in p.shape}
        samples = next(n for n in count(_LEAST) if n not in lengths)
        kinds = [like.dtype if x.dtype.kind == "f" else torch.int64 for x in examples]
        given = [
            torch.from_numpy(np.resize(x, (samples, *x.shape[1:]))).to(like.device, kind)
            for x, kind in zip(examples, kinds, strict=True)
        ]

        def run(*xs: Any) -> Any:
            args, options = call.arguments(xs)
            return module(*args, **options)

        aten = torch.ops.aten
        table = torch._decomp.get_decompositions([getattr(aten, each) for each in _BACKWARD])
        settings = {"tracing_mode": "symbolic", "_allow_non_fake_inputs": True}
        settings |= {"pre_dispatch": True} if scripted else {"decomposition_table": table}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = make_fx(run, **settings)(*given)
                if any(map(writes, made.graph.nodes)) and not scripted:
                    made = make_fx(torch.func.functionalize(run), **settings)(*given)
        except Exception as fault:  # the module's own code
            raise untraceable(torch, module, fault) from fault
        nodes = list(made.graph.nodes)
        if not scripted:
            _without_detach(torch, nodes)
        return Traced(
            nodes,
            nodes[-1].args[0],
            tuple(node.name for node in nodes if node.op == "placeholder"),
            constants={n.target: getattr(made, n.target) for n in nodes if n.op == "get_attr"},
        )

    return dispatched


def _without_detach(torch: Any, nodes: Sequence[Any]) -> None:
    for node in nodes:
        if node.target is torch.ops.aten.detach.default:
            node.replace_all_uses_with(node.args[0])
