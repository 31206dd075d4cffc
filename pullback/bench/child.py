"""A process that runs one peer: ``python -m pullback.bench.child NAME THREADS``.

It reads lines of JSON, ``{"prepare": task}`` and ``{"go": seconds}``, and answers each with one
line. It ends when nobody holds the other end any more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from pullback.bench.absent import AbsentError
from pullback.bench.peers import Peer, make
from pullback.bench.stopwatch import timed
from pullback.bench.task import from_dict


def main(name: str, threads: int) -> None:
    """Work until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not come between
    if hasattr(os, "sched_setaffinity"):  # some libraries count processors and heed nothing else
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    peer: Peer | None = None
    for line in sys.stdin:
        message, answer = json.loads(line), dict[str, Any]()
        if "prepare" in message:
            peer = None  # its memory is free before the next one is made
            try:
                peer = make(name, from_dict(message["prepare"]), threads)
                answer = {"loss": peer.first_pass()}
            except AbsentError as reason:
                answer = {"absent": str(reason)}
            except Exception as fault:  # whatever a library raises, the others go on
                answer = {"absent": f"{type(fault).__name__}: {str(fault).strip().splitlines()[0]}"}
        elif peer is not None:
            lap = timed(peer, message["go"])
            answer = {"seconds": lap.seconds, "quiet": lap.quiet}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
