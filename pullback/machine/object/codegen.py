"""How LLVM makes object files of what Numba has typed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from llvmlite import binding


@cache
def codegen() -> Any:
    """Numba's code generator for exactly the processor that is here; Numba loads here.

    A short loop stays a loop, for one that is unrolled is no longer vectorised. The module is
    optimised once: Numba's first round serves its counting of references, which is off.
    """
    numba: Any = import_module("numba.core.codegen")

    class Library(numba.AOTCodeLibrary):  # type: ignore[misc]
        def _optimize_functions(self, module: Any) -> None:
            module.data_layout = self._codegen._data_layout
            builder = self._pass_builder()
            for function in module.functions:
                builder.getFunctionPassManager().run(function, builder)

        def _optimize_final_module(self) -> None:
            builder = self._pass_builder()
            builder.getModulePassManager().run(self._final_module, builder)

        def _pass_builder(self) -> Any:
            options = binding.create_pipeline_tuning_options(speed_level=3)
            options.loop_unrolling = False
            options.loop_interleaving = True
            options.loop_vectorization = options.slp_vectorization = True
            return binding.create_pass_builder(self._codegen._tm, options)

    class HostCodegen(numba.AOTCPUCodegen):  # type: ignore[misc]
        _library_class = Library

        def _customize_tm_features(self) -> Any:
            # by its name a processor may have more than a virtual machine lets through
            return self._get_host_cpu_features()

    return HostCodegen("pullback", "host")
