"""``pullback derive`` in MATLAB's notation."""


def test_a_formula_of_matlab_needs_no_axes(run):
    code, out, _ = run("derive", "0.5*x'*A*x", "--wrt", "x")
    assert code == 0
    assert "∂L/∂x = ½ (A + Aᵀ) x" in out
    assert 'Nobody declared x="n", A="n n"' in " ".join(out.split())


def test_the_dialect_can_be_told(run):
    _, out, _ = run("derive", "A*exp(x)", "--wrt", "x", "--dialect", "matlab")
    assert "∂f/∂x = A diag(exp(x))" in out
    code, _, err = run("derive", "A*exp(x)", "--wrt", "x", "--dialect", "octave")
    assert code == 2
    assert "unknown dialect 'octave': known: matlab, numpy" in " ".join(err.split())


def test_two_dialects_in_one_formula_are_refused(run):
    code, out, err = run("derive", "x'*A@x", "--wrt", "x")
    assert (code, out) == (2, "")
    assert "' is MATLAB's and @ NumPy's" in err
