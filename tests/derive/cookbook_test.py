"""The Matrix Cookbook's identities, typed as a person types them: accepted, right, and as short.

Right is what jax differentiates, in float64; the printed formula is computed, too. A structured
matrix is moved in jax by the entries that it has of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from cookbook import EXAMPLES, IDENTITIES, SQUARE
from formula_law_test import Computation

import pullback as pb
from pullback.errors import SingularError

jax = pytest.importorskip("jax")
jnp = jax.numpy
SIZES = {"n": 4, "m": 3}
NAMES = {
    "det": jnp.linalg.det, "inv": jnp.linalg.inv, "tr": jnp.trace, "norm": jnp.linalg.norm,
    "matrix_power": jnp.linalg.matrix_power, "logdet": lambda X: jnp.linalg.slogdet(X)[1],
    "sum": jnp.sum, "log": jnp.log, "abs": jnp.abs, "exp": jnp.exp, "sin": jnp.sin,
    "solve": jnp.linalg.solve, "n": 4, "m": 3, "eye": jnp.eye, "ones": jnp.ones,
    "outer": jnp.outer, "diag": jnp.diag, "norm1": lambda x: jnp.abs(x).sum(),
    "softmax": jax.nn.softmax, "logsumexp": jax.nn.logsumexp, "adj": lambda X: (
        jnp.linalg.det(X) * jnp.linalg.inv(X)
    ),
}  # fmt: skip
ROWS = [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in (*IDENTITIES, *EXAMPLES)]


def declared(text, more):
    letters = dict.fromkeys(re.findall(r"(?<![.\w])[A-Za-z]\b", text))
    known = SQUARE | more
    return {letter: known[letter] for letter in letters if letter in known}


def drawn(axes):
    """Numbers for each variable: matrices with an inverse, symmetric ones and diagonal ones."""
    rng = np.random.default_rng(0)
    found = {}
    for name, words in axes.items():
        over = [SIZES[word] for word in words.split() if word in SIZES]
        found[name] = rng.uniform(0.5, 1.5, over) + (np.eye(over[0]) if len(set(over)) < len(over)
                                                     else 0)  # fmt: skip
        if "sym" in words:
            found[name] = found[name] + found[name].T
        if "diag" in words:
            found[name] = np.diag(np.diag(found[name]))
    return found


def slopes_of_jax(text, wrt, axes, values):
    def value(held):
        return eval(text, {"__builtins__": {}}, NAMES | values | {wrt: held})  # noqa: S307  ours

    with jax.enable_x64(True):
        slope = np.asarray(jax.jacobian(value)(jnp.asarray(values[wrt])))
        assert slope.dtype == np.float64
    if "sym" in axes[wrt]:  # an entry below the diagonal moves its mirror image, too
        return slope + slope.T - np.diag(np.diag(slope))
    return np.diag(np.diag(slope)) if "diag" in axes[wrt] else slope


def printed(text, wrt, axes):
    e = pb.expr(text, **axes)
    steps = {step.title: step for step in pb.derive(e, wrt=wrt).steps}
    return e, (steps.get("Gradient") or steps["Jacobian"]).lines[0]


@pytest.mark.parametrize(("number", "text", "wrt", "book", "more"), ROWS)
def test_an_identity_is_accepted_and_right(number, text, wrt, book, more):
    axes = declared(text, more)
    values = drawn(axes)
    e, line = printed(text, wrt, axes)
    expected = slopes_of_jax(text, wrt, axes, values)
    found = e.derivative(wrt)(**values)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    columns = {k: v[:, None] if np.ndim(v) == 1 else v for k, v in values.items()}
    known = columns | {"I": np.eye(4), "n": np.asarray(4.0)}
    shown = Computation(known, samples=4).value(line.right)
    if expected.ndim > 2:  # vec: an entry has the place (column, row)
        rows = expected.ndim - np.ndim(values[wrt])
        order = [*range(rows)[::-1], *range(rows, expected.ndim)[::-1]]
        expected = expected.transpose(order).reshape(shown.shape)
    whole = shown if shown.shape else np.broadcast_to(shown, expected.shape)
    np.testing.assert_allclose(whole.reshape(expected.shape), expected, rtol=1e-9, atol=1e-9)


def test_nearly_all_are_printed_as_in_the_book_or_shorter():
    longer = []
    for number, text, wrt, book, more in IDENTITIES:
        _, line = printed(text, wrt, declared(text, more))
        found = line.text().partition(" = ")[2]
        if len(found) > len(book):
            longer.append((number, found, book))
    assert len(IDENTITIES) > 60
    assert len(longer) <= 2, longer


@pytest.mark.parametrize("row", [row for row in IDENTITIES if row[0] not in (99, 129)], ids=str)
def test_a_gradient_is_text_that_can_be_read_again(row):
    _, text, wrt, _, more = row
    axes = declared(text, more)
    values = drawn(axes)
    slope = pb.expr(text, **axes).gradient(wrt)
    used = [name for name in axes if re.search(rf"\b{name}\b", slope.text)]
    again = pb.expr(slope.text, **{name: axes[name] for name in used})
    found = again(**{name: values[name] for name in used})
    np.testing.assert_allclose(found, slope(**values), rtol=1e-10, atol=1e-12)


def test_a_wrong_derivative_is_not_proved():
    d = pb.derive(pb.expr("tr(A@X@X)", X="n n", A="n n"), wrt="X")
    assert d.proof.ok
    assert "relative error below" in d.text()
    other = pb.derive(pb.expr("tr(A@X@X.T)", X="n n", A="n n"), wrt="X")
    wrong = replace(d.program, derivatives=other.program.derivatives)
    assert not replace(d, program=wrong).proof.ok
    assert "WRONG" in replace(d, program=wrong).text()


@pytest.mark.parametrize("name", ["inv(X)", "logdet(X)", "solve(X, b)"])
def test_a_singular_matrix_is_named(name):
    axes = {"X": "n n"} | ({"b": "n"} if "b" in name else {})
    values = {"X": np.arange(9.0).reshape(3, 3)} | ({"b": np.ones(3)} if "b" in name else {})
    with pytest.raises(SingularError, match="X is singular"):
        pb.expr(name, **axes)(**values)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_what_is_printed_compiles_in_a_real_tex(tmp_path):
    rows = [(text, wrt, declared(text, more)) for _, text, wrt, _, more in IDENTITIES + EXAMPLES]
    rows.append(("inv(X)[0, 1]*sum(X**3)", "X", {"X": "n n"}))
    formulas = [pb.derive(pb.expr(text, **axes), wrt=wrt).latex() for text, wrt, axes in rows]
    formulas += [
        pb.derive(pb.expr(text, **axes), wrt=wrt, order=2).latex() for text, wrt, axes in rows[::6]
    ]
    body = "\n".join(rf"\[ {each} \]" for each in formulas)
    head = r"\documentclass{article}\usepackage{amsmath,amssymb}\allowdisplaybreaks"
    (tmp_path / "book.tex").write_text(rf"{head}\begin{{document}}{body}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "book.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
