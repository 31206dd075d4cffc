"""Names from tables, labels and network files are data, on the page and in the code."""

from __future__ import annotations

import html.parser
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.data import load
from pullback.errors import PullbackError
from pullback.net.program import execute

SCRIPT = "<script>document.title='owned'</script>"
NAMES = [
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "'; open('owned', 'w') #",
    '" + str(open("owned", "w")) + "',
    "{{7*7}}",
    "{% include 'x' %}",
    "</style></svg>",
    "\\u003cscript\\u003e",
    "a\u202eb",
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "owned").exists(), "a name was executed"


class Tags(html.parser.HTMLParser):
    """What a browser would make of a page: its scripts and the elements with a handler."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.handlers: list[tuple[str, str | None]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        self.handlers += [each for each in attributes if each[0].startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts.append(data)


def table(path: Path, names: list[str], labels: list[str]) -> Path:
    rng = np.random.default_rng(0)
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (*names, "label")]
    rows = [
        [*(f"{value:.3f}" for value in rng.normal(size=len(names))), labels[k % len(labels)]]
        for k in range(60)
    ]
    cells = [",".join([*row[:-1], '"' + row[-1].replace('"', '""') + '"']) for row in rows]
    path.write_text("\n".join([",".join(quoted), *cells, ""]), encoding="utf-8")
    return path


def test_headers_and_labels_of_a_table_are_escaped_on_the_page(tmp_path: Path) -> None:
    data = load(str(table(tmp_path / "t.csv", NAMES[:6], NAMES[3:7])))
    assert list(data.features) == NAMES[:6]
    net = pb.Network(
        pb.Sequential(pb.Linear(6, 4), pb.Tanh(), pb.Linear(4, data.outputs)), pb.CrossEntropy()
    )
    page = tmp_path / "report.html"
    pb.report(net, data.X, data.Y, page, epochs=1, classes=data.classes, title=SCRIPT)
    tags = Tags()
    text = page.read_text(encoding="utf-8")
    tags.feed(text)
    assert not tags.handlers
    assert SCRIPT not in text
    assert not any("document.title='owned'" in script for script in tags.scripts)


def test_variables_and_axes_are_identifiers_or_refused() -> None:
    for name in NAMES:
        with pytest.raises(PullbackError):
            pb.expr("sum(x)", x=f"n {name}")
        with pytest.raises(PullbackError):
            pb.expr("sum(x)", **{name: "n", "x": "n"})


def test_layers_under_hostile_names_train_and_their_code_runs() -> None:
    """What torch, ONNX or a user calls a layer: refused, or a name and nothing more."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    for name in NAMES:
        try:
            first, last = pb.Linear(3, 4, name=name), pb.Linear(4, 2)
            net = pb.Network(pb.Sequential(first, pb.Tanh(), last), pb.MSELoss())
        except PullbackError:
            continue
        params = net.init(0)
        value, _ = net.value_and_grad(params, X, Y)
        code = execute(pb.derive(net).code("numpy"), {})
        assert np.isclose(code["value_and_grad"](params, X, Y)[0], value)
