"""The server: whom it answers, what it says to nonsense, and that nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from explore_server import (
    COMMAND,
    ROOT,
    Served,
    Stream,
    descendants,
    ends,
    lives,
    outlives,
    running,
)

import pullback as pb
from pullback.explore.setup import Setup, work_of

QUICK = {"epochs": 6, "pace": "full", "hidden": "3"}
LONG = {"epochs": 5000, "pace": "slow", "hidden": "3"}


@pytest.fixture(scope="module")
def served():
    with running() as found:
        yield found


@pytest.fixture
def stream(served, request):
    name = request.node.name[:60]
    found = Stream(served, name)
    yield name, found
    found.close()


def is_error(answer, status, kind=None):
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"status", "kind", "message"}
    assert answer["error"]["status"] == status
    assert kind is None or answer["error"]["kind"] == kind
    return answer["error"]["message"]


def test_it_listens_on_this_machine_alone(served):
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", served.port))


@pytest.mark.parametrize("path", ["/", "/wrong/", "/favicon.ico", "/wrong/view", "//"])
def test_a_wrong_token_is_refused_and_told_so(served, path):
    status, answer = served.ask(path)
    assert status == 403
    assert "open the whole address" in is_error(answer, 403, "Forbidden")


def test_a_person_with_a_wrong_token_gets_a_page(served):
    status, page = served.ask("/wrong/", Accept="text/html,*/*")
    assert status == 403
    assert "<h1" in page
    assert "open the whole address" in page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:{port}", ""])
def test_a_name_that_is_rebound_is_refused(served, host):
    status, answer = served.ask("", Host=host.format(port=served.port))
    assert status in (400, 403)  # without a name it is no request at all
    if status == 403:
        assert "answers to" in is_error(answer, 403)


def test_both_names_of_this_machine_are_answered(served):
    for name in ("127.0.0.1", "localhost"):
        assert served.ask("", Host=f"{name}:{served.port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://"]
)
def test_a_foreign_page_is_refused(served, origin):
    status, answer = served.ask("view", {"view": "network"}, Origin=origin)
    assert status == 403
    assert "are refused" in is_error(answer, 403)


def test_our_own_page_is_answered(served):
    origin = f"http://127.0.0.1:{served.port}"
    assert served.ask("view", {"view": "network", "setup": {}}, Origin=origin)[0] == 200


def test_a_giant_request_is_refused(served):
    status, answer = served.ask("view", raw=b"[" + b" " * 200_000 + b"]")
    assert status == 413
    assert "larger than 64 KiB" in is_error(answer, 413, "TooLarge")


def test_a_giant_request_in_pieces_is_refused(served):
    def pieces():
        for _ in range(40):
            yield b" " * 4096

    status, answer = served.ask("view", raw=pieces())  # chunked: its length is not told
    assert status == 413
    is_error(answer, 413, "TooLarge")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b'{"setup": NaN}', b'"text"']
)
def test_what_is_no_json_object_is_refused(served, raw):
    status, answer = served.ask("view", raw=raw)
    assert status == 400
    assert "JSON" in is_error(answer, 400, "BadRequest")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"view": "network", "setup": {"hidden": "0"}}, "a width is 0; expected a whole number"),
        ({"view": "network", "setup": {"activation": "rleu"}}, "did you mean 'relu'?"),
        ({"view": "network", "setup": {"hidden": "1024,1024"}}, "too many for a page"),
        ({"view": "networks", "setup": {}}, "did you mean 'network'?"),
        ({"view": 3}, "view is 3"),
        ({"view": "network"}, "setup is missing"),
        ({"train": {}}, "view is None"),  # training is asked for elsewhere
    ],
)
def test_an_impossible_network_gets_our_own_message(served, body, told):
    status, answer = served.ask("view", body)
    assert status == 422
    assert told in is_error(answer, 422)


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("nothing", {}, 404),
        ("static/nothing.js", {}, 404),
        ("static/../setup.py", {}, 404),
        ("static/%2e%2e/setup.py", {}, 404),
        ("view", {}, 405),
        ("events", {}, 400),
        ("train", {"body": {}}, 400),
        ("control", {"body": {"page": "p", "do": "explode"}}, 400),
        ("control", {"body": {"page": "nobody", "do": "stop"}}, 422),
        ("train", {"body": {"page": "p", "browser": "deaf", "setup": {}}}, 422),
        ("leave", {"body": {"page": "x" * 65}}, 400),
    ],
)
def test_every_error_has_one_shape(served, path, options, status):
    found, answer = served.ask(path, **options)
    assert found == status
    is_error(answer, status)


def test_the_page_may_load_nothing_from_elsewhere(served):
    status, page = served.ask("study")
    assert status == 200
    assert "http" not in page
    status, page = served.ask("")
    assert status == 200
    assert page.count("http") == page.count('"http://www.w3.org/2000/svg"') == 1
    for path in ("look.css", "static/main.js", "static/explore.css"):
        assert served.ask(path)[0] == 200


def train(served, stream, setup, page="page"):
    name, events = stream
    status, answer = served.ask("train", {"page": page, "browser": name, "setup": setup})
    assert status == 200, answer
    return answer["pid"], events


def test_training_is_that_of_the_library(served, stream):
    pid, events = train(served, stream, QUICK)
    told = events.until("end", "error")
    rows = [row for event in told for row in event.get("rows", ())]
    work = work_of(Setup.of(QUICK))
    result = pb.fit(
        work.net, *work.train, params=work.start, optimizer=work.setup.optimizer,
        epochs=6, batch_size=32, validation=work.test, progress=False,
    )  # fmt: skip
    assert told[0]["event"] == "start"
    assert told[0]["layers"] == ["δ₁", "δ₂"]
    assert told[-1]["why"] == "done"
    assert [row[0] for row in rows] == [0, 1, 2, 3, 4, 5, 6]
    assert [row[1] for row in rows[1:]] == pytest.approx(result.history["loss"], rel=1e-4)
    assert [row[4] for row in rows[1:]] == result.history["validation_accuracy"]
    assert len(told[-1]["map"]) == told[-1]["side"] ** 2
    assert told[-1]["params"].keys() == result.params.keys()
    assert ends(pid)


def test_a_training_is_paused_resumed_and_stopped(served, stream):
    pid, events = train(served, stream, LONG)
    events.until("rows")

    def control(what):
        assert served.ask("control", {"page": "page", "do": what})[0] == 200

    control("pause")
    at = events.until("paused")[-1]["rows"]
    control("resume")
    events.until("resumed")
    later = events.until("rows")[-1]["rows"]
    assert later[-1][0] > (at[-1][0] if at else 0)
    control("pause")
    events.until("paused")
    control("stop")
    assert events.until("end")[-1]["why"] == "stopped"
    assert ends(pid)
    assert served.ask("control", {"page": "page", "do": "pause"})[0] == 422


def test_an_impossible_training_is_told_on_the_stream(served, stream):
    pid, events = train(served, stream, QUICK | {"activation": "rleu"})
    assert "did you mean 'relu'?" in events.until("error")[-1]["error"]["message"]
    assert ends(pid)


def test_a_second_training_takes_the_place_of_the_first(served, stream):
    first, _ = train(served, stream, LONG)
    second, events = train(served, stream, QUICK)
    assert ends(first)
    assert events.until("end")[-1]["why"] == "done"
    assert first != second


def test_a_page_that_leaves_ends_its_training(served, stream):
    pid, events = train(served, stream, LONG)
    events.until("rows")
    assert served.ask("leave", {"page": "page"})[0] == 200
    assert ends(pid)


def test_a_stream_that_is_lost_ends_its_trainings_after_a_grace(served):
    events = Stream(served, "lost")
    pid, _ = train(served, ("lost", events), LONG)
    events.until("rows")
    events.close()
    assert ends(pid)


def test_a_browser_that_comes_back_in_time_hears_everything_again(served):
    events = Stream(served, "back")
    pid, _ = train(served, ("back", events), LONG)
    events.until("rows")
    events.close()
    events = Stream(served, "back")
    again = events.until("again")[-1]["told"]
    assert [each["event"] for each in again[:2]] == ["start", "rows"]
    assert sum("map" in each for each in again) == 1  # of pictures the last one is enough
    assert outlives(pid, 4)
    events.close()
    assert ends(pid)


def test_ten_pages_train_at_once(served, stream):
    pids = [train(served, stream, LONG, f"page {k}")[0] for k in range(10)]
    assert len(set(pids)) == 10
    assert all(map(lives, pids))
    seen = set()
    for event in stream[1]:
        seen |= {event["page"]} if event["event"] == "rows" else set()
        if len(seen) == 10:
            break
    threads = [
        threading.Thread(target=served.ask, args=("leave", {"page": f"page {k}"}))
        for k in range(10)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all(ends(pid) for pid in pids)


def test_the_server_is_still_up(served):
    assert served.process.poll() is None
    assert served.view("network")["title"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_server_ends_no_worker_is_left(how):
    with running() as served:
        stream = Stream(served, "b")
        pid, _ = train(served, ("b", stream), LONG)
        stream.until("rows")
        workers = descendants(served.process.pid)
        assert pid in workers
        code = served.stop(how)
        assert all(ends(pid) for pid in workers)
        assert code == (0 if how is signal.SIGINT else -how)


@pytest.mark.parametrize("after", [0, 0.02, 0.1, 0.4])
def test_ctrl_c_is_heard_from_the_first_moment(after):
    served = Served()
    time.sleep(after)
    assert served.stop() == 0


def run(*options, code=None):
    command = [*COMMAND, *options] if code is None else [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_port_in_use_is_told_with_one_that_is_free():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        done = run("--port", str(port))
        assert done.returncode == 2
        assert f"port {port} is in use; " in done.stderr
        other = int(done.stderr.split("--port ")[1])
    with running("--port", str(other)) as served:
        assert served.port == other


@pytest.mark.parametrize("port", ["0", "70000", "-1"])
def test_a_port_that_is_none_is_refused(port):
    done = run("--port", port)
    assert done.returncode == 2
    assert "port" in done.stderr


def test_without_a_port_the_next_free_one_is_taken():
    first, second = Served(), Served()
    try:
        assert first.port != second.port
    finally:
        assert first.stop() == second.stop() == 0


def test_the_server_itself_loads_none_of_the_library():
    code = (
        "import sys, pullback.explore.server\n"
        "print(*[n for n in ('numpy', 'scipy', 'sympy', 'sklearn') if n in sys.modules])"
    )
    assert run(code=code).stdout.split() == []


def test_the_environment_of_a_worker_has_one_thread(served):
    if not os.path.isdir("/proc"):
        pytest.skip("there is no /proc here")
    for pid in descendants(served.process.pid):
        with open(f"/proc/{pid}/environ", "rb") as held:
            assert b"OPENBLAS_NUM_THREADS=1" in held.read()
