"""Functions of matrices that are only known entry by entry: the matrix [aᵢⱼ]ᵢⱼ stands in them."""

import pytest

import pullback as pb

MATRICES = {
    "det(cumsum(A, axis=0))": "det([Σᵢ A[i,n′] 𝟏[n ≥ i]][n,n′])",
    "sum(inv(cumsum(A, axis=1)))": "Σₙₙ′ ([Σₖ A[i,k] 𝟏[j ≥ k]][i,j]⁻¹)[n,n′]",
    "logdet(cumsum(A, axis=0)@A.T)": "log(|det([",
}


@pytest.mark.parametrize("text", MATRICES)
def test_its_value_and_its_slope_are_written_and_right(text):
    derivation = pb.derive(pb.expr(text, A="n n"), "A")
    written = derivation.text()
    assert f"L = {MATRICES[text]}" in written
    assert "⁻¹)[" in written
    assert "relative error below" in written
    assert "begin{bmatrix}" in derivation.latex()
