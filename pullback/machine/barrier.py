"""What the workers of a crew call in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from pullback.machine.object.jit import inner

PATIENCE = 2000  # looks at the others before the processor is offered to somebody else


@cache
def helpers() -> dict[str, Callable[..., Any]]:
    """The functions by name, for code that Numba compiles; Numba loads here."""
    from llvmlite import ir

    # untyped: mypy follows Numba's own hints into what it takes for unreachable code
    types: Any = import_module("numba.types")
    cgutils: Any = import_module("numba.core.cgutils")
    intrinsic: Any = import_module("numba.extending").intrinsic
    compiled = inner()

    @intrinsic  # type: ignore[untyped-decorator]
    def arrive(typing_context: Any, counter: Any) -> Any:
        """Add one to the counter, at once for all workers; its value before."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = context.make_array(counter)(context, builder, args[0]).data
            return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "seq_cst")

        return types.int64(counter), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def arrived(typing_context: Any, counter: Any) -> Any:
        """The counter as it is in memory now."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = context.make_array(counter)(context, builder, args[0]).data
            return builder.load_atomic(data, "acquire", 8)

        return types.int64(counter), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def give_way(typing_context: Any) -> Any:
        """Offer the processor to another thread."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(ir.IntType(32), [])
            function = cgutils.get_or_insert_function(builder.module, kind, "sched_yield")
            builder.call(function, [])
            return context.get_dummy_value()

        return types.void(), generate

    def ticks(typing_context: Any) -> Any:
        """The processor's clock, in ticks of one length."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(ir.IntType(64), [])
            name = "llvm.readcyclecounter"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])

        return types.int64(), generate

    cycles: Callable[[], Any] = intrinsic(ticks)

    @compiled
    def lap(spent, worker, kind, since):  # type: ignore[no-untyped-def]
        """Book the time since the last look at the clock on a kind of work; the time now."""
        now = cycles()
        spent[worker, kind] += now - since
        return now

    @compiled
    def meet(meeting, workers):  # type: ignore[no-untyped-def]
        """Wait until all workers are here."""
        if workers == 1:
            return
        everybody = (arrive(meeting) // workers + 1) * workers
        looks = 0
        while arrived(meeting) < everybody:
            looks += 1
            if looks > PATIENCE:
                give_way()

    @inner(signature="UniTuple(int64, 2)(int64, int64, int64)")
    def share(n, worker, workers):  # type: ignore[no-untyped-def]
        """From where to where a worker's rows go; long shares are whole vectors of processors."""
        unit = 16 if n >= 32 * workers else 1
        units = n // unit
        end = n if worker == workers - 1 else units * (worker + 1) // workers * unit
        return units * worker // workers * unit, end

    @compiled
    def sum_up(parts, number):  # type: ignore[no-untyped-def]
        """The sum of one number from each worker."""
        total = parts[0, number]
        for each in range(1, len(parts)):
            total += parts[each, number]
        return total

    @compiled
    def add_rows(parts, out):  # type: ignore[no-untyped-def]
        """The sum of one row from each worker."""
        for j in range(len(out)):
            out[j] = parts[0, j]
        for each in range(1, len(parts)):
            for j in range(len(out)):
                out[j] += parts[each, j]

    @compiled
    def count_hits(output, target, threshold):  # type: ignore[no-untyped-def]
        """How many rows are classified right; the rule is that of ``metrics.hits``."""
        right = 0
        for i in range(output.shape[0]):
            best, wanted, ones, agree = 0, 0, 0, True
            for j in range(output.shape[1]):
                best = j if output[i, j] > output[i, best] else best
                wanted = j if target[i, j] > target[i, wanted] else wanted
                ones += target[i, j] > 0
                agree = agree and (output[i, j] > threshold) == (target[i, j] > 0.5)
            by_largest = threshold != threshold or (output.shape[1] > 1 and ones == 1)
            right += best == wanted if by_largest else agree
        return right

    return {
        "meet": meet,
        "share": share,
        "sum_up": sum_up,
        "add_rows": add_rows,
        "count_hits": count_hits,
        "cycles": cycles,
        "lap": lap,
    }
