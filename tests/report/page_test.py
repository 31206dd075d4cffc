"""The page: one offline file, well formed, with everything that it promises."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import pullback as pb
from pullback.data import load
from pullback.errors import ConfigError, DataError

ALL = [
    "live", "training", "predictions", "check", "network", "flow", "derivation",
    "neurons", "forecast", "closed", "pace", "plan", "about",
]  # fmt: skip
VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """The elements of a page; raises AssertionError where they do not nest."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.size = path.stat().st_size
        self.tags, self.open, self.words = [], [], {}
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.words[self.open[-1]] = self.words.get(self.open[-1], "") + data

    def all(self, tag, css=""):
        wanted = set(css.split())
        found = [a for t, a in self.tags if t == tag]
        return [a for a in found if wanted <= set((a.get("class") or "").split())]

    def constant(self, name):
        return json.loads(re.search(rf"^const {name} = (.*);$", self.text, re.M)[1])

    @property
    def sections(self):
        return [each["id"] for each in self.all("section")]


def network(*blocks, loss=None):
    return pb.Network(pb.Sequential(*blocks), loss=loss or pb.CrossEntropy())


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return data.X[:240], data.Y[:240]


@pytest.fixture(scope="module")
def page(digits, tmp_path_factory):
    net = network(pb.Linear(64, 12), pb.Tanh(), pb.Linear(12, 10))
    path = tmp_path_factory.mktemp("page") / "report.html"
    assert pb.report(net, *digits, path, epochs=3, progress=False) == path
    return Page(path)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    X = np.random.default_rng(0).normal(size=(80, 4))
    inner = pb.Residual(pb.Sequential(pb.Linear(6, 6), pb.GELU()))
    net = network(pb.Linear(4, 6), inner, pb.Linear(6, 2), loss=pb.SquaredError())
    path = tmp_path_factory.mktemp("regression") / "report.html"
    pb.report(net, X, X[:, :2] ** 2, path, epochs=3, progress=False)
    return Page(path)


def test_the_page_runs_its_own_scripts_and_loads_nothing(page):
    (policy,) = [
        each["content"]
        for each in page.all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    ]
    packed, inline, module = re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.S)
    plotly = gzip.decompress(base64.b64decode(packed)).decode()
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (inline, plotly, module)
    ]
    assert f"default-src 'none'; script-src {' '.join(hashes)};" in policy
    assert not re.search(r"https?:|unsafe-eval|script-src[^;]*unsafe", policy)


def test_every_section_is_there_and_in_the_contents(page):
    assert page.sections == ALL
    assert [a["href"] for a in page.all("a") if a["href"].startswith("#")][1:] == [
        f"#{name}" for name in ALL
    ]


def test_nothing_is_fetched(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:"))
    style = page.words["style"]
    assert "@import" not in style
    assert style.count("url(") == style.count('url("data:font/woff2;base64,') == 1
    assert [a for a in page.all("script") if "src" in a] == []


def test_ids_are_unique_and_labels_point_at_them(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for label in page.all("label"):
        assert label["for"] in ids
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids


def test_pictures_have_words_captions_and_data(page):
    assert all(a["alt"] for a in page.all("img"))
    svg = page.all("svg", "network")
    assert len(svg) == 2
    assert all(a["role"] == "img" and "‖δ‖" in a["aria-label"] for a in svg)
    assert all(a["aria-label"] for a in page.all("div", "plot"))
    downloads = {a["download"]: a["href"] for a in page.all("a", "button")}
    assert {
        "loss.csv",
        "accuracy.csv",
        "flow.csv",
        "check.csv",
        "confusion.csv",
        "forecast.csv",
        "plans.csv",
        "neurons.csv",
        "pace.csv",
        "samples.csv",
    } <= set(downloads)
    assert all(href.startswith("data:text/csv") for href in downloads.values())
    assert page.text.count("<figcaption>") == page.text.count("<figure")


def test_the_library_of_charts_is_there_whole(page):
    plotly = pytest.importorskip("plotly.offline")
    packed = re.search(r'<script type="application/gzip" id="plotly">(.*?)</script>', page.text)[1]
    assert gzip.decompress(base64.b64decode(packed)).decode() == plotly.get_plotlyjs()
    assert page.size < 3e6


def test_charts_are_what_plotly_takes(page, regression):
    go = pytest.importorskip("plotly.graph_objects")
    for each in (page, regression):
        figures = each.constant("FIGURES")
        plots = {a["id"] for a in each.all("div", "plot")}
        assert plots == {f"plot-{name}" for name in figures}
        for figure in figures.values():
            plain = json.loads(re.sub(r'"@[\w-]+"', '"#123456"', json.dumps(figure)))
            go.Figure(data=plain["data"], layout=plain["layout"])


def test_symbols_of_the_equations_have_hints(page):
    hints = page.constant("HINTS")
    assert hints["s-delta-0"]["symbol"] == "δ₁ = (W₂ᵀ δ₂) ⊙ (1 − a₁²)"
    assert hints["s-n-v-1"]["meaning"] == "the error that neuron 1 passes on"
    assert hints["s-0-weight"]["shape"] == "12 × 64"
    used = {each for _, a in page.tags for each in (a.get("class") or "").split()}
    assert set(hints) <= used


def test_the_derivation_is_there_in_every_convention(page):
    lines = [a["data-latex"] for a in page.all("tr") if "data-latex" in a]
    assert r"\delta_1 = (W_2^\top \delta_2) \odot (1 - a_1^2)" in lines
    assert any(r"\Delta_1" in line for line in lines)
    assert any(r"\Theta_1" in line for line in lines)
    assert any("(1)" in line and r"\sum" in line for line in lines)
    copied = [a["data-latex"] for a in page.all("button") if "data-latex" in a]
    assert [text[:15] for text in copied[:4]] == [r"\begin{aligned}"] * 4
    assert copied[4].startswith("pb.report(net, X, Y, epochs=3,")


def test_values_to_predict_get_other_sections(regression):
    assert regression.sections == ALL
    figures = {"loss", "flow", "update", "check", "forecast", "scatter"}
    assert figures <= set(regression.constant("FIGURES")) <= figures | {"phases", "dead"}
    assert not regression.all("table", "confusion")
    assert "of the variance" in regression.words["p"]


def test_a_trained_network_is_told_of_without_training(digits, tmp_path):
    X, Y = digits
    net = network(pb.Linear(64, 10))
    result = pb.fit(net, X, Y, epochs=1, progress=False)
    path = pb.report(net, X, Y, tmp_path / "a.html", result=result, progress=False)
    assert Page(path).sections == [name for name in ALL if name != "flow"]
    path = pb.report(net, X, Y, tmp_path / "b.html", params=result.params, test=(X[:50], Y[:50]))
    page = Page(path)
    assert page.sections == [name for name in ALL if name not in ("training", "flow")]
    assert "of 50 test samples" in page.text


def test_a_deep_network_with_one_output(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)).astype(np.float32)
    blocks = [each for n in (3, 4, 4, 4, 4, 4, 4, 4, 4) for each in (pb.Linear(n, 4), pb.Sigmoid())]
    net = network(*blocks, pb.Linear(4, 1), loss=pb.BinaryCrossEntropy())
    path = tmp_path / "deep.html"
    pb.report(net, X, X[:, 0] > 0, path, epochs=1, progress=False, classes=["<no>", "yes"])
    page = Page(path)
    assert page.constant("FIGURES")["flow"]["data"][0]["type"] == "heatmap"
    assert "The first layers hardly learn" in page.text
    assert "factors are not drawn" not in page.text
    assert "<no>" not in page.text


def test_what_cannot_be_written_is_said_before_any_work(digits, tmp_path):
    net = network(pb.Linear(64, 10))
    with pytest.raises(DataError, match="there is no folder"):
        pb.report(net, *digits, tmp_path / "no" / "report.html", epochs=10**9)
    with pytest.raises(DataError, match="it is a folder"):
        pb.report(net, *digits, tmp_path, epochs=10**9)
    with pytest.raises(ConfigError, match="a sample has 64 features"):
        pb.report(net, *digits, tmp_path / "r.html", image_shape=(9, 9), epochs=10**9)
    params = net.init()
    with pytest.raises(ConfigError, match="3 names"):
        pb.report(net, *digits, tmp_path / "r.html", params=params, classes=["a", "b", "c"])
    with pytest.raises(ConfigError, match="not both"):
        pb.report(net, *digits, tmp_path / "r.html", params=params, result=pb.fit)
    assert list(tmp_path.iterdir()) == []
