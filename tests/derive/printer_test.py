"""What the printer writes: exact lines, MathML that parses, names that are clear."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from printed import ZOO, lines, program

from pullback.derive import EquationList, equations, mathml
from pullback.derive.formula.notation import NOTES
from pullback.derive.formula.text import Text, wrap
from pullback.errors import UnknownNameError
from pullback.nn import (
    Linear,
    Sequential,
    SquaredError,
    Tanh,
)

# Exact lines


def test_tanh_and_softmax_in_columns():
    *aligned, blank, note, more = EquationList.of(ZOO["tanh"]()).text().splitlines()
    assert not blank
    assert f"{note} {more}" == NOTES["columns"]
    assert aligned == [
        "z₁     = W₁ x + b₁",
        "a₁     = tanh(z₁)",
        "z₂     = W₂ a₁ + b₂",
        "L      = (1/N) (logsumexp(z₂) − yᵀ z₂)",
        "δ₂     = (1/N) (softmax(z₂) − y)",
        "δ₁     = (W₂ᵀ δ₂) ⊙ (1 − a₁²)",
        "∂L/∂W₂ = δ₂ a₁ᵀ",
        "∂L/∂b₂ = δ₂",
        "∂L/∂W₁ = δ₁ xᵀ",
        "∂L/∂b₁ = δ₁",
    ]


def test_tanh_and_softmax_in_rows():
    assert lines(ZOO["tanh"](), "rows") == [
        "Z₁ = X W₁ + 𝟏 b₁ᵀ",
        "A₁ = tanh(Z₁)",
        "Z₂ = A₁ W₂ + 𝟏 b₂ᵀ",
        "L = (1/N) 𝟏ᵀ (logsumexp(Z₂) − (Y ⊙ Z₂) 𝟏)",
        "Δ₂ = (1/N) (softmax(Z₂) − Y)",
        "Δ₁ = (Δ₂ W₂ᵀ) ⊙ (1 − A₁²)",
        "∂L/∂W₂ = A₁ᵀ Δ₂",
        "∂L/∂b₂ = Δ₂ᵀ 𝟏",
        "∂L/∂W₁ = Xᵀ Δ₁",
        "∂L/∂b₁ = Δ₁ᵀ 𝟏",
    ]


def test_tanh_and_softmax_in_latex():
    assert EquationList.of(ZOO["tanh"]()).latex().splitlines() == [
        r"\begin{aligned}",
        r"z_1 &= W_1 x + b_1 \\",
        r"a_1 &= \tanh(z_1) \\",
        r"z_2 &= W_2 a_1 + b_2 \\",
        r"L &= \frac{1}{N} (\operatorname{logsumexp}(z_2) - y^\top z_2) \\",
        r"\delta_2 &= \frac{1}{N} (\operatorname{softmax}(z_2) - y) \\",
        r"\delta_1 &= (W_2^\top \delta_2) \odot (1 - a_1^2) \\",
        r"\frac{\partial L}{\partial W_2} &= \delta_2 a_1^\top \\",
        r"\frac{\partial L}{\partial b_2} &= \delta_2 \\",
        r"\frac{\partial L}{\partial W_1} &= \delta_1 x^\top \\",
        r"\frac{\partial L}{\partial b_1} &= \delta_1",
        r"\end{aligned}",
    ]
    rows = EquationList.of(ZOO["tanh"](), "rows")
    assert rows["z.0"].latex() == r"Z_1 = X W_1 + \mathbf{1} b_1^\top"
    assert rows["delta.0"].latex() == r"\Delta_1 = (\Delta_2 W_2^\top) \odot (1 - A_1^2)"
    assert rows["gradient.0.weight"].latex() == (
        r"\frac{\partial L}{\partial W_1} = X^\top \Delta_1"
    )


def test_sigmoid_and_binary_cross_entropy():
    columns = lines(ZOO["sigmoid"]())
    assert columns[3:7] == [
        "a₂ = σ(z₂)",
        "L = (1/N) 𝟏ᵀ (y ⊙ softplus(−z₂) + (1 − y) ⊙ softplus(z₂))",
        "δ₂ = (1/N) (a₂ − y)",
        "δ₁ = (W₂ᵀ δ₂) ⊙ a₁ ⊙ (1 − a₁)",
    ]
    latex = EquationList.of(ZOO["sigmoid"](), "rows")
    assert latex["delta.2"].latex() == r"\Delta_2 = \frac{1}{N} (A_2 - Y)"
    assert latex["delta.0"].text() == "Δ₁ = (Δ₂ W₂ᵀ) ⊙ A₁ ⊙ (1 − A₁)"


@pytest.mark.parametrize(
    ("network", "name", "columns", "rows"),
    [
        ("relu", "loss", "L = (1/(2N)) ‖z₂ − y‖²", "L = (1/(2N)) ‖Z₂ − Y‖²"),
        ("relu", "delta.2", "δ₂ = (1/N) (z₂ − y)", "Δ₂ = (1/N) (Z₂ − Y)"),
        ("relu", "delta.0", "δ₁ = (W₂ᵀ δ₂) ⊙ 𝟏[a₁ > 0]", "Δ₁ = (Δ₂ W₂ᵀ) ⊙ 𝟏[A₁ > 0]"),
        ("sum", "loss", "L = ½ ‖a₂ − y‖²", "L = ½ ‖A₂ − Y‖²"),
        ("logits", "delta.2", "δ₂ = (1/N) (σ(z₂) − y)", "Δ₂ = (1/N) (σ(Z₂) − Y)"),
        ("lecun", "a.1", "a₁ = 1.7159 tanh(⅔ z₁)", "A₁ = 1.7159 tanh(⅔ Z₁)"),
        ("rational", "a.1", "a₁ = z₁/(1 + z₁²)", "A₁ = Z₁/(1 + Z₁²)"),
        ("residual", "a.2", "h₂ = a₁ + ½ a₂", "H₂ = A₁ + ½ A₂"),
        ("residual", "z.3", "z₃ = W₃ h₂ + b₃", "Z₃ = H₂ W₃ + 𝟏 b₃ᵀ"),
        ("residual", "delta.a.2", "δₕ₂ = W₃ᵀ δ₃", "Δₕ₂ = Δ₃ W₃ᵀ"),
        (
            "residual",
            "delta.0",
            "δ₁ = (W₂ᵀ δ₂ + δₕ₂) ⊙ (1 − a₁²)",
            "Δ₁ = (Δ₂ W₂ᵀ + Δₕ₂) ⊙ (1 − A₁²)",
        ),
        ("residual", "gradient.2.block.0.weight", "∂L/∂W₂ = δ₂ a₁ᵀ", "∂L/∂W₂ = A₁ᵀ Δ₂"),
        ("no bias", "z.0", "z₁ = W₁ x", "Z₁ = X W₁"),
        (
            "penalty",
            "gradient.0.weight",
            "∂L/∂W₁ = δ₁ xᵀ + 0.01 W₁",
            "∂L/∂W₁ = Xᵀ Δ₁ + 0.01 W₁",
        ),
        ("in a row", "a.1.1", "a₁′ = σ(a₁)", "A₁′ = σ(A₁)"),
        ("in a row", "gradient.2.weight", "∂L/∂W₂ = δ₂ (a₁′′)ᵀ", "∂L/∂W₂ = (A₁′′)ᵀ Δ₂"),
        (
            "regression",
            "gradient.w",
            "∂L/∂w = −(1/N) y σ(−y wᵀ x) x",
            "∂L/∂w = −(1/N) Xᵀ (y ⊙ σ(−y ⊙ (X w)))",
        ),
    ],
)
def test_line(network, name, columns, rows):
    roots = ZOO[network]()
    assert EquationList.of(roots)[name].text() == columns
    assert EquationList.of(roots, "rows")[name].text() == rows


def test_relu_in_latex():
    line = EquationList.of(ZOO["leaky"]())["delta.0"]
    assert line.latex() == (
        r"\delta_1 = (W_2^\top \delta_2) \odot (0.1 + 0.9 \, \mathbf{1}[z_1 > 0])"
    )
    gelu = EquationList.of(ZOO["gelu"]())["delta.0"]
    assert r"\left(\frac{1}{\sqrt{2 \pi}} z_1 \odot \exp\left(-\frac{1}{2} z_1^2\right)" in (
        gelu.latex()
    )


# LaTeX, MathML, HTML


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("convention", ["columns", "rows"])
def test_every_formula_is_latex_and_mathml(name, convention):
    for line in EquationList.of(ZOO[name](), convention):
        latex = line.latex()
        assert balanced(latex), latex
        root = ET.fromstring(mathml(latex))
        assert root.tag.endswith("math")
        leaves = [e.text or "" for e in root.iter() if len(e) == 0]
        assert not any("\\" in text or "&" in text for text in leaves), latex


def balanced(latex: str) -> bool:
    depth = 0
    for brace in re.findall(r"[{}]", latex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0 and latex.count(r"\left") == latex.count(r"\right")


def test_html_is_well_formed_coloured_and_copyable():
    listing = EquationList.of(ZOO["tanh"]())
    page = ET.fromstring(f"<div>{listing.html()}</div>")
    rows = page.findall(".//tr")
    assert [row.get("data-latex") for row in rows] == [line.latex() for line in listing]
    classes = {e.get("class") for e in rows[5].iter() if e.get("class", "").find(" ") > 0}
    assert classes == {
        "backward s-delta-0",
        "backward s-delta-2",
        "parameter s-2-weight",
        "forward s-a-1",
    }
    assert listing._repr_html_() == listing.html()


# Lists, order, names


def test_order_is_forward_loss_then_backward_by_layer():
    assert [each.name for each in equations(reversed(ZOO["tanh"]()))] == [
        "z.0",
        "a.1",
        "z.2",
        "loss",
        "delta.2",
        "delta.0",
        "gradient.2.weight",
        "gradient.2.bias",
        "gradient.0.weight",
        "gradient.0.bias",
    ]


@pytest.mark.parametrize("name", ZOO)
def test_no_two_symbols_are_the_same(name):
    for convention in ("columns", "rows"):
        listing = EquationList.of(ZOO[name](), convention)
        written = [Text()(s) for s in listing.notation.symbols.values()]
        assert len(set(written)) == len(written)


def test_symbols_of_many_layers_stay_in_order():
    blocks = [block for _ in range(12) for block in (Linear(2, 2), Tanh())]
    names = [line.split(" ")[0] for line in lines(program(Sequential(*blocks), SquaredError()))]
    forward = [f"{letter}{n}" for n in range(1, 13) for letter in "za"]
    small = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    assert names[:24] == [name.translate(small) for name in forward]
    assert names[25:37] == [f"δ{n}".translate(small) for n in range(12, 0, -1)]


def test_long_lines_are_broken_before_operators():
    assert wrap("a + (b + c) ⊙ d − e", 15) == ["a + (b + c) ⊙ d", "− e"]
    text = EquationList.of(ZOO["sigmoid"](), "rows").text(width=48)
    assert max(map(len, text.splitlines())) <= 48
    for name in ZOO:
        assert max(map(len, EquationList.of(ZOO[name]()).text().splitlines())) <= 100


def test_plain_data_and_unknown_names():
    listing = EquationList.of(ZOO["no bias"]())
    assert listing.to_dict()["equations"][0] == {
        "name": "z.0",
        "role": "z",
        "text": "z₁ = W₁ x",
        "latex": "z_1 = W_1 x",
    }
    with pytest.raises(UnknownNameError, match=r"did you mean 'z.0'"):
        listing["z.1"]
    with pytest.raises(UnknownNameError, match="did you mean 'rows'"):
        EquationList.of(ZOO["no bias"](), "row").text()
