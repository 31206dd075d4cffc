"""torch's own layers as operators, and what changes a module without standing in its graph."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop.torch.places import module_place
from pullback.interop.torch.tensors import has_values

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_NORM = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps",
         "num_batches_tracked")  # fmt: skip
_CONV = ("weight", "bias", "stride", "padding", "dilation", "groups", "padding_mode")
_TRANSPOSED = ("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation",
               "padding_mode")  # fmt: skip
_LARGEST = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")

# the operator that a class of modules applies, and which of its attributes are its arguments
MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Identity": ("identity", ()), "Linear": ("linear", ("weight", "bias")),
    "ReLU": ("relu", ()), "ReLU6": ("relu6", ()), "Sigmoid": ("sigmoid", ()), "Tanh": ("tanh", ()),
    "SELU": ("selu", ()), "SiLU": ("silu", ()), "Mish": ("mish", ()),
    "LogSigmoid": ("logsigmoid", ()), "Softsign": ("softsign", ()),
    "Tanhshrink": ("tanhshrink", ()), "Hardsigmoid": ("hardsigmoid", ()),
    "Hardswish": ("hardswish", ()),
    "LeakyReLU": ("leaky_relu", ("negative_slope",)), "ELU": ("elu", ("alpha",)),
    "CELU": ("celu", ("alpha",)), "GELU": ("gelu", ("approximate",)),
    "Softplus": ("softplus", ("beta", "threshold")),
    "Hardtanh": ("hardtanh", ("min_val", "max_val")),
    "Dropout": ("dropout", ("p", "training")),
    **{f"Dropout{n}d": (f"dropout{n}d", ("p", "training")) for n in (1, 2, 3)},
    "AlphaDropout": ("alpha_dropout", ("p", "training")),
    "FeatureAlphaDropout": ("feature_alpha_dropout", ("p", "training")),
    "Flatten": ("flatten", ("start_dim", "end_dim")),
    "Unflatten": ("unflatten", ("dim", "unflattened_size")),
    **{f"Conv{n}d": (f"conv{n}d", _CONV) for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": (f"conv_transpose{n}d", _TRANSPOSED) for n in (1, 2, 3)},
    "AvgPool1d": ("avg_pool1d", _POOL[:-1]),
    **{f"AvgPool{n}d": (f"avg_pool{n}d", _POOL) for n in (2, 3)},
    **{f"AdaptiveAvgPool{n}d": (f"adaptive_avg_pool{n}d", ("output_size",)) for n in (1, 2, 3)},
    **{f"MaxPool{n}d": (f"max_pool{n}d", _LARGEST) for n in (1, 2, 3)},
    **{f"AdaptiveMaxPool{n}d": (f"adaptive_max_pool{n}d", ("output_size", "return_indices"))
       for n in (1, 2, 3)},
    "Embedding": ("embedding", ("weight", "padding_idx", "max_norm", "norm_type",
                                "scale_grad_by_freq")),
    **dict.fromkeys(("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"),
                    ("upsample", ("size", "scale_factor", "mode", "align_corners"))),
    "PixelShuffle": ("pixel_shuffle", ("upscale_factor",)),
    "PixelUnshuffle": ("pixel_unshuffle", ("downscale_factor",)),
    **{f"{kind}Pad{n}d": ("pad", ("padding",)) for kind in ("Zero",) for n in (1, 2, 3)},
    "Softmax": ("softmax", ("dim",)), "LogSoftmax": ("log_softmax", ("dim",)),
    "PReLU": ("prelu", ("weight",)), "GLU": ("glu", ("dim",)),
    "LayerNorm": ("layer_norm", ("normalized_shape", "weight", "bias", "eps")),
    "GroupNorm": ("group_norm", ("num_groups", "weight", "bias", "eps")),
    "RMSNorm": ("rms_norm", ("normalized_shape", "weight", "eps")),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), ("batch_norm", _NORM)),
    "Hardshrink": ("hardshrink", ("lambd",)),
    "Softshrink": ("softshrink", ("lambd",)),
    "Threshold": ("threshold", ("threshold", "value")),
    "RReLU": ("rrelu", ("lower", "upper", "training")),
    "Unfold": ("im2col", ("kernel_size", "dilation", "padding", "stride")),
    "Fold": ("col2im", ("output_size", "kernel_size", "dilation", "padding", "stride")),
    "ChannelShuffle": ("channel_shuffle", ("groups",)),
    "Bilinear": ("bilinear", ("weight", "bias")),
    "CosineSimilarity": ("cosine_similarity", ("dim", "eps")),
    "PairwiseDistance": ("pairwise_distance", ("norm", "eps", "keepdim")),
    "EmbeddingBag": ("embedding_bag", ("weight", "mode", "padding_idx", "max_norm")),
}  # fmt: skip

OF_TWO = ("Bilinear", "CosineSimilarity", "PairwiseDistance")  # layers of two inputs

_CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_LOOP = ("bias", "num_layers", "dropout", "training", "bidirectional", "batch_first")
RECURRENT = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")


def called(module: Any) -> tuple[str, tuple[str | tuple[str, ...], ...]] | None:
    """The operator that a layer applies, and the attributes that are its arguments; None if none.

    Several in one argument are a tuple.
    """
    match name := type(module).__name__:
        case "RNN" | "GRU" | "LSTM":
            return module.mode.lower(), (tuple(module._flat_weights_names), *_LOOP)
        case "RNNCell":
            return f"rnn_{module.nonlinearity}_cell", _CELL
        case "GRUCell" | "LSTMCell":
            return f"{name[: -len('Cell')].lower()}_cell", _CELL
    return MODULES.get(name)


def refuse_hidden(torch: Any, module: Any) -> None:
    """Raise ConversionError for what changes a module's values without standing in its graph."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if not has_values(tensor):
            how = "module.to_empty(device='cpu') and load_state_dict give it some"
            if hasattr(tensor, "materialize"):
                how = "run the module once, as module(X[:1])"
            raise ConversionError(f"{name} has no values yet: {how}")
    for name, tensor in module.named_parameters():
        if any(getattr(tensor, hooks, None) for hooks in _TENSOR_HOOKS):
            raise ConversionError(
                f"the parameter {name!r} has hooks, which pullback does not run; remove them"
            )
    _refuse_overlaps(module)


def without_hooks(module: Any) -> Any:
    """A copy that only has the hooks by which torch computes its weights; the others may record."""
    for part in module.modules():
        for name in _HOOKS:
            hooks = getattr(part, name)
            for key in [k for k, hook in hooks.items() if not _computes_weights(hook)]:
                del hooks[key]
    return module


def has_hooks(module: Any) -> str | None:
    """Where a hook is that may change what a module computes, if there is one."""
    for path, part in module.named_modules():
        if any(not _computes_weights(h) for name in _HOOKS for h in getattr(part, name).values()):
            return module_place(part, path)
    return None


def _computes_weights(hook: Any) -> bool:
    return type(hook).__module__.startswith("torch.nn.utils.")


def _refuse_overlaps(module: Any) -> None:
    """Raise ConversionError for two parameters in the same memory: training one changes both."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for name, tensor in module.named_parameters():
        if tensor.device.type == "meta" or not tensor.numel():
            continue
        reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        start = tensor.storage_offset()
        if reach + 1 < tensor.numel():
            raise ConversionError(f"{name!r} holds one number in several places; clone it")
        of_storage = spans.setdefault(tensor.untyped_storage().data_ptr(), [])
        for low, high, other in of_storage:
            if start <= high and low <= start + reach:
                raise ConversionError(
                    f"{other!r} and {name!r} share memory, so that training one changes both; "
                    "give each parameter values of its own, by clone()"
                )
        of_storage.append((start, start + reach, name))


def starts_in_place(module: Any) -> bool:
    """Does a module write over what goes into it?"""
    kind = type(module).__name__
    return "Dropout" not in kind and bool(getattr(module, "inplace", False))
