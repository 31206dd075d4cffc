"""Machine code does what was written, in this process and in another one."""

import ctypes
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from llvmlite import ir

from pullback.errors import ConfigError
from pullback.machine.barrier import FUTEX, HERE, SLEEPERS, meeting_room, share, write_meet
from pullback.machine.blas.writer import WHOLE, Writer, whole
from pullback.machine.object.load import load
from pullback.machine.object.processor import optimised_code

PLACE = WHOLE.as_pointer()
POINTER, NUMBER = ctypes.c_void_p, ctypes.c_int64


def code_of(name, kinds, write):
    """Object code of a function of whole numbers and of arrays of them."""
    module = ir.Module(name)
    function = ir.Function(module, ir.FunctionType(WHOLE, kinds), name)
    w = Writer(function, ir.FloatType(), 1)
    w.ret(write(w, *function.args))
    return optimised_code(module)


def summed(w, x, n):
    total = w.alloca(WHOLE)
    w.store(whole(0), total)
    with w.loop(whole(0), n, 1) as i:
        w.store(w.add(w.load(total), w.load(w.gep(x, [i]))), total)
    return w.load(total)


@pytest.fixture(scope="module")
def sum_code():
    return code_of("total", [PLACE, WHOLE], summed)


def test_code_computes_what_was_written(sum_code):
    x = np.arange(5)
    assert load(sum_code, "total", [POINTER, NUMBER])(x.ctypes.data, 5) == 10


def test_code_runs_in_another_process(sum_code, tmp_path):
    (tmp_path / "code").write_bytes(sum_code)
    script = """
import ctypes, sys, pathlib, numpy as np
from pullback.machine.object.load import load
code = pathlib.Path(sys.argv[1], "code").read_bytes()
x = np.full(4, 3)
assert load(code, "total", [ctypes.c_void_p, ctypes.c_int64])(x.ctypes.data, 4) == 12
assert "sympy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_name_may_be_loaded_twice(sum_code):
    other = code_of("total", [WHOLE], lambda w, n: w.add(n, whole(1)))
    first, second = load(sum_code, "total", [POINTER, NUMBER]), load(other, "total", [NUMBER])
    x = np.arange(3)
    assert (first(x.ctypes.data, 3), second(41)) == (3, 42)


def test_code_that_is_none_or_lacks_the_name_is_refused(sum_code):
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(sum_code, "another", [])
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(b"not machine code at all", "total", [])


def give_way(w, flag, most):
    """How many looks it took until the flag was 1, or −1."""
    result = w.alloca(WHOLE)
    w.store(whole(-1), result)
    pause = ir.Function(w.module, ir.FunctionType(ir.IntType(32), []), "sched_yield")
    with w.loop(whole(0), most, 1) as look:
        w.call(pause, [])
        with w.if_then(w.is_one(w.load_atomic(flag, "acquire", 8))):
            w.ret(look)
    return w.load(result)


def test_code_runs_without_the_lock_of_python():
    """A thread waits inside the code for what another thread writes with Python."""
    function = load(code_of("wait", [PLACE, WHOLE], give_way), "wait", [POINTER, NUMBER])
    flag, found = np.zeros(1, np.int64), []
    thread = threading.Thread(target=lambda: found.append(function(flag.ctypes.data, 10**7)))
    thread.start()
    flag[0] = 1
    thread.join()
    assert found[0] >= 0, "the code held Python's lock"


def shares(w, out, n, worker, workers):
    for at, end in enumerate(share(w, n, worker, workers)):
        w.store(end, w.gep(out, [whole(at)]))
    return n


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_shares_are_all_rows_once(workers):
    kinds = [PLACE, WHOLE, WHOLE, WHOLE]
    function = load(code_of("shares", kinds, shares), "shares", [POINTER, *[NUMBER] * 3])
    for n in (1, 2, 5, 31, 64, 100, 1000):
        rows = []
        for worker in range(workers):
            ends = np.zeros(2, np.int64)
            function(ends.ctypes.data, n, worker, workers)
            rows += range(*ends)
            assert n < 32 * workers or ends[0] % 16 == 0
        assert rows == list(range(n))


def meeting_code(system):
    """Each of some workers counts, meets the others, and reads what all have counted."""

    def write(w, room, counts, worker, workers, rounds):
        meet = write_meet(w.module, system)
        wrong = w.alloca(WHOLE)
        w.store(whole(0), wrong)
        with w.loop(whole(1), w.add(rounds, whole(1)), 1) as turn:
            w.store(turn, w.gep(counts, [worker]))
            w.call(meet, [room, worker, workers])
            with w.loop(whole(0), workers, 1) as other:
                behind = w.icmp_signed("<", w.load(w.gep(counts, [other])), turn)
                w.store(w.add(w.load(wrong), w.zext(behind, WHOLE)), wrong)
            w.call(meet, [room, worker, workers])
        return w.load(wrong)

    code = code_of("pool", [PLACE, PLACE, WHOLE, WHOLE, WHOLE], write)
    return load(code, "pool", [POINTER, POINTER, NUMBER, NUMBER, NUMBER])


@pytest.mark.parametrize("system", [HERE, "a system that is unknown"])
@pytest.mark.parametrize("workers", [2, 3, 9])
def test_nobody_goes_on_before_all_are_there(system, workers):
    function = meeting_code(system)
    room, wrong = np.zeros(meeting_room(workers), np.int64), []
    counts = np.zeros(workers, np.int64)

    def work(worker):
        wrong.append(function(room.ctypes.data, counts.ctypes.data, worker, workers, 200))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * workers
    assert room[0] == 400 * workers


@pytest.mark.skipif(HERE not in FUTEX, reason="no futex(2) here")
def test_workers_that_sleep_are_woken_by_the_last_one():
    function, room, counts = (
        meeting_code(HERE),
        np.zeros(meeting_room(3), np.int64),
        np.zeros(3, np.int64),
    )
    wrong = []

    def work(worker):
        wrong.append(function(room.ctypes.data, counts.ctypes.data, worker, 3, 1))

    early = [threading.Thread(target=work, args=(worker,)) for worker in (0, 2)]
    for thread in early:
        thread.start()
    while room[SLEEPERS] < 2:
        time.sleep(0.001)
    work(1)
    for thread in early:
        thread.join()
    assert wrong == [0, 0, 0]
    assert room[SLEEPERS] == 0
