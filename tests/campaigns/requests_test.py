"""Hostile requests to the explore page's server: an answer or a closed line, never a fault."""

import contextlib
import json
import random
import socket
import time
from collections import Counter

import pytest
from explore_server import running

VALUES = [
    None, True, 0, -1, 1.5, 2**31, 2**2000, -(2**2000), 1e308, 5e-324, "", "x", "\ud800", "\0",
    "ｘ", "a" * 5000, "../../etc/passwd", "<script>alert(1)</script>", [], {}, [[]], {"a": {}},
    "1e999", "9" * 5000, "4, 3", "0", "-3", "3x300000000", "1" * 300, "tanh(x",
    "__import__('os')", "digits", "network", "neurons", "derivation", "forecast", "columns",
    [1] * 1000, "NaN",
]  # fmt: skip
SETUP = (
    "data", "hidden", "activation", "init", "loss", "seed", "rate", "momentum", "batch", "epochs",
    "pace", "nonsense", "__class__",
)  # fmt: skip
VIEWS = ("network", "derivation", "neurons")
PATHS = (*["view"] * 6, "train", "control", "leave")


def body(rng):
    """A message of the page with a few things in it replaced by something else."""
    setup = {name: rng.choice(VALUES) for name in rng.sample(SETUP, rng.choice([0, 1, 1, 2]))}
    message = {
        "view": rng.choice(VIEWS), "setup": setup, "page": "p", "browser": "deaf",
        "do": rng.choice(["pause", "stop", "explode"]),
    }  # fmt: skip
    for _ in range(rng.choice([0, 1, 1, 3])):
        name = rng.choice([*message, "convention", "sample", "params", "extra"])
        message[name] = rng.choice(VALUES)
    return json.dumps(message).encode()


def raw(rng, served, path):
    """The bytes of a request, whole or broken."""
    sent = body(rng)
    kind = rng.random()
    if kind < 0.1:
        sent = sent[: rng.randrange(len(sent))]
    elif kind < 0.2:
        sent = rng.choice([b"[" * 30_000, b'{"a":' * 200 + b"1" + b"}" * 200, b"\xff\xfe", b"NaN"])
    elif kind < 0.25:
        sent = b" " * 70_000
    host = f"127.0.0.1:{served.port}"
    head = [
        f"{rng.choice(['POST'] * 8 + ['PUT', 'GET', 'P@ST'])} {served.path}{path} HTTP/1.1",
        f"Host: {host if rng.random() < 0.95 else 'evil.example'}",
        f"Content-Length: {len(sent) if rng.random() < 0.9 else rng.choice(['-1', '9', 'x'])}",
        "Connection: close",
    ]
    if rng.random() < 0.1:
        head.append(f"X-Long: {'a' * rng.choice([10, 70_000])}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + sent


def answer(served, request):
    """(status, object) of a request; None for a line that was closed without one."""
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(request)
        got = b""
        with contextlib.suppress(ConnectionError):
            while piece := line.recv(65536):
                got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    if not head:
        return None, None
    status = int(head.split()[1])
    return status, json.loads(rest) if b"application/json" in head else None


def campaign(served, count, seed):
    """Every request gets an answer in the one shape of errors, and none says that we failed."""
    rng, counts = random.Random(seed), Counter()
    for _ in range(count):
        request = raw(rng, served, rng.choice(PATHS))
        status, told = answer(served, request)
        counts[status] += 1
        assert status is None or status < 500, (request[-300:], told)
        error = (told or {}).get("error")
        assert error is None or error["kind"] != "Fault", (request[-300:], error)
        assert "Traceback" not in str(told)
    return ", ".join(f"{number} × {status}" for status, number in sorted(counts.items(), key=str))


@pytest.fixture(scope="module")
def served():
    with running() as found:
        yield found


def test_a_hostile_request_gets_an_error_and_the_server_stays(served, size):
    line = campaign(served, size(60, 3000), seed=1)
    print(line)
    assert "422" in line
    assert served.ask("view", {"view": "network", "setup": {}})[0] == 200


def closed(line):
    """Wait until the other side has ended a line."""
    with contextlib.suppress(ConnectionError):
        return line.recv(65536) == b"" or closed(line)
    return True


def test_a_lone_surrogate_is_told_back_as_text(served):
    setup = b'{"view": "network", "setup": {"activation": "tanh(x)*\\ud800"}}'
    status, told = served.ask("view", raw=setup)
    assert status == 422
    assert "\\ud800" in told["error"]["message"]


def test_half_open_connections_neither_block_the_page_nor_stay(served, size):
    with contextlib.ExitStack() as stack:
        lines = []
        for _ in range(size(300, 900)):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            with contextlib.suppress(ConnectionError):
                line.sendall(b"POST /" if len(lines) % 2 else b"")
            lines.append(line)
        assert served.ask("view", {"view": "network", "setup": {}})[0] == 200
        assert all(map(closed, lines))


def test_a_request_that_comes_letter_by_letter_is_given_up(served):
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        with contextlib.suppress(ConnectionError):
            for letter in b"GET / HTTP/1.1\r\nHost: " + b"a" * 200:
                line.sendall(bytes([letter]))
                time.sleep(0.1)
        assert closed(line)


def test_a_body_that_does_not_come_is_given_up(served):
    head = f"POST {served.path}view HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert b"408" in line.recv(100)
