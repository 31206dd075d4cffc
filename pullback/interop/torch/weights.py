"""Parameters and buffers of a module under their own names, and the Linear that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pullback.errors import ConversionError


@dataclass(frozen=True, eq=False)
class Held:
    """A tensor that the module holds; ``turned`` if it is read transposed."""

    name: str
    tensor: Any
    turned: bool = False

    @property
    def is_number(self) -> bool:
        """Is it one number that is not trained? The frozen bias of one unit is a bias."""
        is_bias = self.tensor.ndim and type(self.tensor).__name__ == "Parameter"
        return self.tensor.numel() == 1 and not self.tensor.requires_grad and not is_bias

    def refuse_untrained(self) -> None:
        """Raise ConversionError for a buffer, and for a parameter that is frozen."""
        if type(self.tensor).__name__ != "Parameter":
            raise ConversionError(
                f"{self.name!r} is a buffer, which torch does not train; pullback trains every "
                "weight: make it an nn.Parameter"
            )
        if not self.tensor.requires_grad:
            raise ConversionError(
                f"{self.name!r} is frozen (requires_grad is False), and pullback trains every "
                "parameter; convert copy.deepcopy(module).requires_grad_(True) if it may be trained"
            )

    @property
    def array(self) -> Any:
        """Its values; half precision as float32, which holds it exactly.

        Raises ConversionError for tensors without values.
        """
        if hasattr(self.tensor, "materialize") or self.tensor.device.type == "meta":
            raise ConversionError(f"{self.name} has no values yet: run or load the module first")
        tensor = self.tensor.detach()
        if str(tensor.dtype) in ("torch.bfloat16", "torch.float16"):
            tensor = tensor.float()
        array = tensor.cpu().numpy()
        return array.T if self.turned else array


def linear_of(weight: Held, bias: Held | None) -> tuple[str, Any, Any]:
    """What a Linear is called, its weight (out, in) and its bias.

    Raises ConversionError for parameters that are not those of one Linear.
    """
    name, _, part = weight.name.rpartition(".")
    own = bias is None or bias.name == (f"{name}.bias" if name else "bias")
    if part != "weight" or weight.turned or not own:
        found = weight.name if bias is None else f"{weight.name} and {bias.name}"
        raise ConversionError(
            f"its parameters are {found}; expected those of one nn.Linear: the weight (out, in) "
            "and the bias, shared with no other"
        )
    for each in (weight, bias):
        if each is not None:
            each.refuse_untrained()
    return name, weight.array, None if bias is None else bias.array
