"""`pullback explore` in a process of its own, and a client that speaks plain HTTP to it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-m", "pullback", "explore", "--no-open")


class Served:
    """A running server: its address, its process, and requests to it."""

    def __init__(self, *options: str) -> None:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([*COMMAND, *options], cwd=ROOT, text=True, **pipes)
        first = self.process.stdout.readline()
        assert "http://" in first, first + self.process.stderr.read()
        self.address = first.split()[-1]
        parts = urlsplit(self.address)
        self.port, self.path = parts.port, parts.path

    def ask(self, path, body=None, *, method=None, raw=None, **headers):
        """(status, answer) of a request; a body is sent as JSON, ``raw`` as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        sent = raw if raw is not None else None if body is None else json.dumps(body)
        method = method or ("GET" if sent is None else "POST")
        full = path if path.startswith("/") else self.path + path
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, full, sent, names)
            response = connection.getresponse()
            text = response.read().decode()
        if response.headers.get_content_type() == "application/json":
            return response.status, json.loads(text)
        return response.status, text

    def view(self, view, setup=None, **options):
        """The answer to a view, or its error's message."""
        status, answer = self.ask("view", {"view": view, "setup": setup or {}, **options})
        return answer if status == 200 else answer["error"]["message"]

    def stop(self, how=signal.SIGINT) -> int:
        """End it as Ctrl-C does; the exit code."""
        self.process.send_signal(how)
        code = self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


class Stream:
    """The server-sent events of one browser, read as they come."""

    def __init__(self, served: Served, browser: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port)
        self._connection.request("GET", f"{served.path}events?browser={browser}")
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        assert self._response.readline() == b"retry: 500\n"

    def __iter__(self):
        for line in self._response:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def until(self, *wanted):
        """All events up to the first of these kinds."""
        found = []
        for event in self:
            found.append(event)
            if event["event"] in wanted:
                return found
        raise AssertionError(f"the stream ended before {wanted}: {found}")

    def close(self) -> None:
        self._response.close()
        self._connection.close()


@contextlib.contextmanager
def running(*options):
    """A server that ends with the context."""
    served = Served(*options)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.stop()


def lives(pid: int) -> bool:
    """Whether a process runs (one that waits to be collected does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def ends(pid: int) -> bool:
    """Wait until a process has ended, however busy the machine is."""
    while lives(pid):
        time.sleep(0.05)
    return True


def outlives(pid: int, seconds: float) -> bool:
    """Whether a process still runs after so long."""
    time.sleep(seconds)
    return lives(pid)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    found = [int(each) for each in done.stdout.split()]
    return found + [each for child in found for each in descendants(child)]
