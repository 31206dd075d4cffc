"""Backward passes printed as papers and textbooks write them; each is computed, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from convolved import check_convolutions
from entries import check_printed
from general_networks import Attention

import pullback as pb
from pullback.derive.formula.text import Text
from pullback.derive.program import batch_program, sample_program

L, S = pb.Linear, pb.Sequential


@dataclass(frozen=True)
class Written:
    """A network, a convention, and equations by their names."""

    name: str
    model: Any
    x: str
    shape: tuple[int, ...]
    convention: str
    equations: dict[str, str]

    def __repr__(self) -> str:
        return self.name


TEXTS = [
    # Ba, Kiros, Hinton 2016, "Layer normalization", section 3; backwards as Karpathy 2024, llm.c,
    # doc/layernorm: (1/σ) (g − mean(g) − x̂ mean(g ⊙ x̂)) with g = γ ⊙ δ
    Written("layer norm", S(L(4, 6), pb.LayerNorm(6), pb.Tanh(), L(6, 2)), "features", (4,),
        "columns", {
            "stat.1.mean": "μ₁ = mean(z₁)",
            "stat.1.inverse": "s₁ = 1/√((1/6) ‖z₁ − μ₁‖² + 10⁻⁵)",
            "a.1.normalised": "a₁ = s₁ (z₁ − μ₁)",
            "a.1": "h₁ = γ₁ ⊙ a₁ + β₁",
            "delta.a.1.normalised": "δₐ₁ = γ₁ ⊙ δₕ₁",
            "delta.0": "δ₁ = s₁ (δₐ₁ − mean(δₐ₁ ⊙ a₁) a₁ − mean(δₐ₁))",
            "gradient.1.weight": "∂ℓ/∂γ₁ = δₕ₁ ⊙ a₁",
            "gradient.1.bias": "∂ℓ/∂β₁ = δₕ₁",
        }),
    # Zhang, Sennrich 2019, "Root mean square layer normalization", section 4.2: without mean(g)
    Written("root mean square norm", S(L(4, 6), pb.RMSNorm(6), L(6, 2)), "features", (4,),
        "columns", {
            "a.1.normalised": "a₁ = s₁ z₁",
            "a.1": "a₁′ = γ₁ ⊙ a₁",
            "delta.0": "δ₁ = s₁ (δₐ₁ − mean(δₐ₁ ⊙ a₁) a₁)",
        }),
    # Ioffe, Szegedy 2015, "Batch normalization", section 3: the six equations behind algorithm 1,
    # put together; the means are over the samples
    Written("batch norm", S(L(4, 3, bias=False), pb.BatchNorm1d(3), L(3, 2)), "features", (4,),
        "columns", {
            "stat.1.mean": "μ₁ = (1/N) Z₁ 𝟏",
            "a.1.normalised": "A₁ = diag(s₁) (Z₁ − μ₁ 𝟏ᵀ)",
            "a.1": "H₁ = diag(γ₁) A₁ + β₁ 𝟏ᵀ",
            "delta.0":
                "Δ₁ = diag(s₁) (Δₐ₁ − (1/N) diag((Δₐ₁ ⊙ A₁) 𝟏) A₁ − (1/N) Δₐ₁ 𝟏 𝟏ᵀ)",
            "gradient.1.weight": "∂L/∂γ₁ = (Δₕ₁ ⊙ A₁) 𝟏",
            "gradient.1.bias": "∂L/∂β₁ = Δₕ₁ 𝟏",
            # algorithm 2, step 10: the unbiased variance, and a moving average of each
            "update.1.running_mean": "μ̄₁ = 0.9 μ̄₁ + 0.1 μ₁",
            "update.1.running_var": "v̄₁ = (0.1/(N − 1)) (Z₁ − μ₁ 𝟏ᵀ)² 𝟏 + 0.9 v̄₁",
        }),
    # Wu, He 2018, "Group normalization", section 3: that of a layer norm, within each group
    Written("group norm",
        S(pb.Conv1d(1, 4, 2), pb.GroupNorm(2, 4), pb.Tanh(), pb.Conv1d(4, 1, 2)),
        "channels=1 length=4", (1, 4), "columns", {
            "a.1": "H₁[j + 2i,l] = γ₁[j + 2i] (A₁′)[i,j,l] + β₁[j + 2i]",
            "delta.a.1.normalised": "Δₐ₁′[i,j,l] = γ₁[j + 2i] Δₕ₁[j + 2i,l]",
            "gradient.1.weight": "(∂ℓ/∂γ₁)[j + 2i] = Σₗ (A₁′)[i,j,l] Δₕ₁[j + 2i,l]",
        }),
    # Dao et al. 2022, "FlashAttention", appendix B.2: dV = Pᵀ dO, dP = dO Vᵀ,
    # dS = P ⊙ (dP − rowsum(P ⊙ dP)), dQ = dS K, dK = dSᵀ Q
    Written("attention", S(Attention(), L(4, 2)), "tokens=3 features=4", (3, 4), "columns", {
            "z.0.scores": "Z₃ = ½ Z₂ Z₁ᵀ",
            "a.0": "A₄ = A₃ Z₄",
            "delta.0.value": "Δ₄ = A₃ᵀ Δₐ₄",
            "delta.a.0.weights": "Δₐ₃ = Δₐ₄ Z₄ᵀ",
            "delta.0.scores": "Δ₃ = (Δₐ₃ − (Δₐ₃ ⊙ A₃) 𝟏 𝟏ᵀ) ⊙ A₃",
            "delta.0.query": "Δ₂ = ½ Δ₃ Z₁",
            "delta.0.key": "Δ₁ = ½ Δ₃ᵀ Z₂",
        }),
    # Vaswani et al. 2017, "Attention is all you need", section 3.2: h counts the heads; a query at
    # t sees what is not behind it
    Written("causal attention with heads",
        S(pb.MultiheadAttention(4, 2, bias=False, causal=True), L(4, 2)), "tokens=3 features=4",
        (3, 4), "index", {
            "z.0.scores": "zₕₜᵢ⁽³⁾ = (1/√2) Σⱼ zₕᵢⱼ⁽¹⁾ zₕₜⱼ⁽²⁾",
            "a.0.weights": "aₕₜᵢ⁽³⁾ = {exp(zₕₜᵢ⁽³⁾ − sₕₜ⁽³⁾) if 𝟏[t ≥ i] > 0 else 0}",
            "z.0.out_proj": "zₜᵢ⁽⁵⁾ = Σₕⱼ W⁽⁵⁾[i,j + 2h] aₕₜⱼ⁽⁴⁾",
            "delta.0.value": "δₕₜᵢ⁽⁴⁾ = Σⱼ aₕⱼₜ⁽³⁾ δₕⱼᵢ⁽ᵃ⁴⁾",
            "delta.0.scores": "δₕₜᵢ⁽³⁾ = aₕₜᵢ⁽³⁾ (δₕₜᵢ⁽ᵃ³⁾ − Σⱼ aₕₜⱼ⁽³⁾ δₕₜⱼ⁽ᵃ³⁾)",
        }),
    # Goodfellow, Bengio, Courville 2016, "Deep learning", section 9.5: the kernel's gradient is a
    # correlation with the input, the input's a sum over the places that read it
    Written("convolution", S(pb.Conv2d(1, 2, 2), pb.Tanh(), pb.Conv2d(2, 1, 2)),
        "channels=1 height=4 width=4", (1, 4, 4), "index", {
            "z.0": "zᵢₕⱼ⁽¹⁾ = Σₖₗₘ Wᵢₖₗₘ⁽¹⁾ x[k,h + l,j + m] + bᵢ⁽¹⁾",
            "delta.0": "δᵢₕⱼ⁽¹⁾ = (Σₖₗₘ Wₖᵢₗₘ⁽²⁾ δ⁽²⁾[k,h − l,j − m]) (1 − aᵢₕⱼ⁽¹⁾²)",
            "gradient.0.weight": "∂ℓ/∂Wᵢⱼₕₖ⁽¹⁾ = Σₗₘ x[j,h + l,k + m] δᵢₗₘ⁽¹⁾",
            "gradient.0.bias": "∂ℓ/∂bᵢ⁽¹⁾ = Σₕⱼ δᵢₕⱼ⁽¹⁾",
        }),
    # Dumoulin, Visin 2016, "A guide to convolution arithmetic", chapter 4: backwards, a stride
    # is a convolution of what is spread out, that is with the taps l − 2k
    Written("convolution with a stride",
        S(pb.Conv1d(2, 3, 3, stride=2, padding=1), pb.Tanh(), pb.Conv1d(3, 2, 3, stride=2)),
        "channels=2 length=9", (2, 9), "columns", {
            "z.0": "Z₁[i,l] = Σⱼₜ W₁[i,j,t] X[j,t + 2l − 1] + b₁[i]",
            "delta.0": "Δ₁[i,l] = (Σⱼₖ W₂[j,i,l − 2k] Δ₂[j,k]) (1 − A₁[i,l]²)",
            "gradient.0.weight": "(∂ℓ/∂W₁)[i,j,t] = Σₗ X[j,t + 2l − 1] Δ₁[i,l]",
        }),
    # Scherer, Müller, Behnke 2010, "Evaluation of pooling operations in convolutional architectures
    # for object recognition": the error goes to the place of the maximum alone
    Written("maximum pooling",
        S(pb.Conv1d(1, 2, 2), pb.Tanh(), pb.MaxPool1d(2), pb.Conv1d(2, 1, 2)),
        "channels=1 length=7", (1, 7), "columns", {
            "a.2": "(A₁′)[i,l] = maxⱼ(A₁[i,j + 2l], 𝟏[j ≤ 1])",
            "delta.0": "Δ₁[i,j + 2l] = (Σₖₜ W₂[k,i,t] Δ₂[k,l − t]) (1 − A₁[i,j + 2l]²) "
                "𝟏[j = argmaxₖ(A₁[i,k + 2l], 𝟏[k ≤ 1])]",
        }),
    # Bengio et al. 2003, "A neural probabilistic language model", section 3: a row for each word,
    # and its gradient from the places where the word stands
    Written("embedding", S(pb.Embedding(5, 3), L(3, 2)), "tokens=4:index", (4,), "index", {
            "z.0": "zₜᵢ⁽¹⁾ = W⁽¹⁾[xₜ,i]",
            "delta.0": "δₜᵢ⁽¹⁾ = Σⱼ Wⱼᵢ⁽²⁾ δₜⱼ⁽²⁾",
            "gradient.0.weight": "∂ℓ/∂Wᵢⱼ⁽¹⁾ = Σₜ δₜⱼ⁽¹⁾ 𝟏[i = xₜ]",
        }),
    # Goodfellow, Bengio, Courville 2016, "Deep learning", section 10.2.2
    Written("recurrent", S(pb.RNN(2, 3), L(3, 2)), "time=3 features", (3, 2), "index", {
            "z.0.hidden": "zₜᵢ⁽²⁾ = Σⱼ Wᵢⱼ⁽²⁾ a⁽³⁾[t − 1,j] + bᵢ⁽²⁾",
            "a.0.h": "aₜᵢ⁽³⁾ = tanh(zₜᵢ⁽³⁾)",
            "delta.0.h":
                "δₜᵢ⁽³⁾ = (1 − aₜᵢ⁽³⁾²) (Σⱼ Wⱼᵢ⁽²⁾ δ⁽²⁾[t + 1,j] + Σⱼ Wⱼᵢ⁽⁴⁾ δₜⱼ⁽⁴⁾)",
            "gradient.0.weight_hh_l0": "∂ℓ/∂Wᵢⱼ⁽²⁾ = Σₜ δₜᵢ⁽²⁾ a⁽³⁾[t − 1,j]",
            "gradient.0.weight_ih_l0": "∂ℓ/∂Wᵢⱼ⁽¹⁾ = Σₜ xₜⱼ δₜᵢ⁽¹⁾",
        }),
    # Greff et al. 2017, "LSTM: a search space odyssey", section II.B, without peepholes
    Written("lstm", S(pb.LSTM(2, 2), L(2, 1)), "time=2 features", (2, 2), "columns", {
            "a.0.c": "H₅ = A₃ ⊙ before(H₅) + A₄ ⊙ A₅",
            "a.0.h": "A₆′ = A₆ ⊙ tanh(H₅)",
            "delta.a.0.h": "Δₐ₆′ = Δ₇ W₇ + after(Δ₂ W₂)",
            "delta.0.o": "Δ₆ = Δₐ₆′ ⊙ A₆ ⊙ tanh(H₅) ⊙ (1 − A₆)",
            "delta.a.0.c": "Δₕ₅ = Δₐ₆′ ⊙ A₆ ⊙ (1 − tanh(H₅)²) + after(Δₕ₅ ⊙ A₃)",
            "delta.0.f": "Δ₃ = Δₕ₅ ⊙ A₃ ⊙ before(H₅) ⊙ (1 − A₃)",
            "delta.0.i": "Δ₅ = Δₕ₅ ⊙ A₄ ⊙ A₅ ⊙ (1 − A₅)",
            "delta.0.g": "Δ₄ = Δₕ₅ ⊙ A₅ ⊙ (1 − A₄²)",
            "gradient.0.weight_hh_l0": "∂ℓ/∂W₂ = Δ₂ᵀ before(A₆′)",
        }),
    # He et al. 2016, "Identity mappings in deep residual networks", equation 5: the error arrives
    # unchanged, and once more through the branch
    Written("residual", S(L(3, 3), pb.Residual(S(pb.Tanh(), L(3, 3))), L(3, 2)), "features", (3,),
        "columns", {
            "a.1": "h₂ = z₁ + z₂",
            "delta.a.1": "δₕ₂ = W₃ᵀ δ₃",
            "delta.1.block.1": "δ₂ = δₕ₂",
            "delta.0": "δ₁ = (W₂ᵀ δ₂) ⊙ (1 − a₁²) + δₕ₂",
        }),
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_it_is_printed_as_it_is_written_and_computed(text):
    net = pb.Network(text.model, loss=pb.SquaredError(), x=text.x)
    if net.several:
        program = batch_program(net, text.convention, samples=True)
    else:
        program = sample_program(net, text.convention)
    sides = {e.name: map(Text(), program.notation.sides(e)) for e in program.equations}
    lines = {name: " = ".join(both) for name, both in sides.items()}
    assert {name: lines[name] for name in text.equations} == text.equations

    rng = np.random.default_rng(0)
    params = {name: value + 0.1 for name, value in net.init(seed=2).items()}
    whole = net.xs["x"].whole
    X = rng.integers(0, 5, (3, *text.shape)) if whole else rng.normal(size=(3, *text.shape))
    Y = rng.normal(size=(3, *(axis.size for axis in net.target.axes[1:])))
    _, data = net.batch(params, X, Y)
    check_printed(net, params, data, text.convention)


CONVOLUTIONS = [
    # LeCun et al. 1998, "Gradient-based learning applied to document recognition"; backwards as
    # Goodfellow, Bengio, Courville 2016, "Deep learning", section 9.5, and Dumoulin, Visin 2016,
    # "A guide to convolution arithmetic for deep learning", section 4.3 (full padding); unfolded as
    # Chellapilla, Puri, Simard 2006, "High performance convolutional neural networks for document
    # processing", section 3
    ("two layers", S(pb.Conv1d(2, 3, 3, padding=1), pb.Tanh(), pb.Conv1d(3, 2, 2)),
        "channels=2 length=5", (2, 5), "columns", [
            "Z₁ = W₁ ⋆ X + b₁",
            "∂L/∂W₁ = Δ₁ ⋆ X",
            "Z₁ = W₁ U₁(X) + b₁ 𝟏ᵀ",
            "∂L/∂W₁ = Δ₁ U₁(X)ᵀ",
            "∂L/∂b₁ = Δ₁ 𝟏",
            "Z₂ = W₂ ⋆ A₁ + b₂",
            "∂L/∂A₁ = flip(W₂) ⋆ Δ₂",
            "∂L/∂W₂ = Δ₂ ⋆ A₁",
            "Z₂ = W₂ U₂(A₁) + b₂ 𝟏ᵀ",
            "∂L/∂A₁ = U₂ᵀ(W₂ᵀ Δ₂)",
            "∂L/∂W₂ = Δ₂ U₂(A₁)ᵀ",
            "∂L/∂b₂ = Δ₂ 𝟏",
        ]),
    # Dumoulin, Visin 2016, section 4.5: a stride's transpose has zeros between neighbours
    ("strides", S(pb.Conv2d(1, 2, 2, bias=False), pb.Tanh(),
        pb.Conv2d(2, 2, (3, 2), stride=(2, 1), padding=(1, 0), bias=False)),
        "channels=1 height=6 width=4", (1, 6, 4), "columns", [
            "Z₁ = W₁ ⋆ X",
            "∂L/∂W₁ = Δ₁ ⋆ X",
            "Z₁ = W₁ U₁(X)",
            "∂L/∂W₁ = Δ₁ U₁(X)ᵀ",
            "Z₂ = W₂ ⋆ A₁",
            "∂L/∂A₁ = flip(W₂) ⋆ spread(Δ₂)",
            "∂L/∂W₂ = spread(Δ₂) ⋆ A₁",
            "Z₂ = W₂ U₂(A₁)",
            "∂L/∂A₁ = U₂ᵀ(W₂ᵀ Δ₂)",
            "∂L/∂W₂ = Δ₂ U₂(A₁)ᵀ",
        ]),
    # Dumoulin, Visin 2016, chapter 4: the transpose swaps what goes forwards and backwards; a place
    # is a row here, as in Chellapilla, Puri, Simard 2006
    ("transposed", S(pb.ConvTranspose1d(2, 2, 3, stride=2, padding=1, bias=False), pb.Tanh(),
        pb.Conv1d(2, 1, 2, dilation=2)), "channels=2 length=3", (2, 3), "rows", [
            "Z₁ = U₁ᵀ(X W₁)",
            "∂L/∂W₁ = Xᵀ U₁(Δ₁)",
            "Z₂ = U₂(A₁) W₂ᵀ + 𝟏 b₂ᵀ",
            "∂L/∂A₁ = U₂ᵀ(Δ₂ W₂)",
            "∂L/∂W₂ = Δ₂ᵀ U₂(A₁)",
            "∂L/∂b₂ = Δ₂ᵀ 𝟏",
        ]),
]  # fmt: skip


@pytest.mark.parametrize("written", CONVOLUTIONS, ids=lambda each: each[0])
def test_a_convolution_is_printed_without_an_index_and_computed(written):
    _, model, x, shape, convention, lines = written
    net = pb.Network(model, loss=pb.SquaredError(), x=x)
    program = batch_program(net, convention, samples=True)
    rng = np.random.default_rng(0)
    params = {name: value + 0.1 for name, value in net.init(seed=2).items()}
    Y = rng.normal(size=(2, *(axis.size for axis in net.target.axes[1:])))
    _, data = net.batch(params, rng.normal(size=(2, *shape)), Y)
    assert check_convolutions(net, program, params, data) == lines
