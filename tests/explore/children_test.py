"""Workers: a view that takes too long is given up, and another worker takes its place."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from pullback.explore import child
from pullback.explore.child import Children, WorkerError


def alone(task):
    """Run a coroutine in a thread of its own: a browser's driver may have a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, task()).result()


def test_a_view_that_takes_too_long_is_given_up(monkeypatch):
    async def task():
        pool = Children(1)
        try:
            assert (await pool.ask({"view": "page"}))["html"]
            monkeypatch.setattr(child, "DEADLINE", 1e-6)
            with pytest.raises(WorkerError, match="given up") as slow:
                await pool.ask({"view": "network", "setup": {}})
            monkeypatch.undo()
            again = await pool.ask({"view": "network", "setup": {}})  # by a new worker
            return slow.value.kind, again["title"]
        finally:
            await pool.close()

    assert alone(task) == ("TooSlow", "2\u2060–\u20604\u2060–\u20603\u2060–\u20602")


def test_a_worker_that_dies_is_told_of_and_replaced():
    async def task():
        pool = Children(1)
        try:
            asking = asyncio.create_task(pool.ask({"view": "page"}))
            while not pool._held:
                await asyncio.sleep(0.01)
            (worker,) = pool._held
            await worker.end()
            with pytest.raises(WorkerError, match="ended"):
                await asking
            return (await pool.ask({"view": "page"}))["html"][:9]
        finally:
            await pool.close()

    assert alone(task) == "<!DOCTYPE"


def test_nothing_is_done_for_somebody_who_has_gone():
    async def task():
        pool, asked = Children(1), []

        async def gone():
            asked.append(True)
            return True

        with pytest.raises(WorkerError, match="nobody waits"):
            await pool.ask({"view": "page"}, gone)
        return asked, pool._held

    assert alone(task) == ([True], set())


def test_an_error_of_several_lines_is_one_message():
    async def task():
        pool = Children(1)
        try:
            with pytest.raises(WorkerError) as found:
                await pool.ask({"view": "network", "setup": {"activation": "x +* 2"}})
            return str(found.value)
        finally:
            await pool.close()

    assert alone(task).splitlines()[-1].strip() == "^"  # under the place


def test_a_formula_that_takes_for_ever_takes_no_more_than_the_deadline(monkeypatch):
    async def task():
        pool = Children(1)
        try:
            await pool.ask({"view": "page"})
            monkeypatch.setattr(child, "DEADLINE", 2.0)
            with pytest.raises(WorkerError) as found:
                await pool.ask({"view": "forecast", "setup": {"activation": "9**9**9**9*x"}})
            return found.value.kind
        finally:
            await pool.close()

    assert alone(task) in ("TooSlow", "ExpressionError", "NonFiniteError")
