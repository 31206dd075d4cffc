"""A network that lives in a page: its JavaScript in Chromium gives what NumPy gives."""

import json

import numpy as np
import pytest
from zoo import named

import pullback as pb
from pullback.net.checks import checked_data

PAGE = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><title>x</title>
<script type="module">
%s
const typed = (values) => new Float64Array(values);
const given = %s;
const params = Object.fromEntries(Object.entries(given.params).map(([k, v]) => [k, typed(v)]));
const [value, gradients] = value_and_grad(params, ...given.data.map(typed));
globalThis.found = JSON.stringify([value, Object.entries(gradients).map(([k, v]) => [k, [...v]])]);
</script>"""


@pytest.mark.parametrize("name", ["GELU()", "cross-entropy, labels", "residual, nested"])
def test_a_page_computes_what_numpy_computes(open_page, tmp_path, name):
    case = named(name)
    data = checked_data(case.net, *case.data())
    given = {
        "params": {key: value.ravel().tolist() for key, value in case.params().items()},
        "data": [array.ravel().tolist() for array in data],
    }
    path = tmp_path / "page.html"
    source = pb.derive(case.net).code("javascript")
    path.write_text(PAGE % (source, json.dumps(given)), encoding="utf-8")
    tab = open_page(path)
    value, gradients = json.loads(tab.page.evaluate("() => globalThis.found"))
    expected, slopes = case.net.value_and_grad(case.params(), *case.data())
    assert value == pytest.approx(expected, rel=1e-12)
    assert [key for key, _ in gradients] == list(slopes)
    for key, gradient in gradients:
        np.testing.assert_allclose(gradient, slopes[key].ravel(), rtol=1e-9, atol=1e-12)
