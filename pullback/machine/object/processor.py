"""The processor that is here, as LLVM knows it."""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import binding, ir


def vector_bytes() -> int:
    """How many bytes its vector registers hold: 64, 32 or 16."""
    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


@cache
def linker() -> Any:
    """Makes object code callable in this process.

    JITLink keeps the parts of an object together in one stretch of memory. LLVM's older linker
    takes a place for each; in a process full of memory they can lie further apart than an address
    of 32 bits reaches, and it then ends the process.
    """
    return binding.create_lljit_compiler(
        _target().create_target_machine(jit=True), use_jit_link=True, suppress_errors=True
    )


def optimised_code(module: ir.Module) -> bytes:
    """Object code for exactly this processor; loops are left as they are written."""
    machine = _target().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=2,
        reloc="pic",
        codemodel="default",
    )
    parsed = binding.parse_assembly(str(module))
    options = binding.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    code: bytes = machine.emit_object(parsed)
    return code


def _target() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple()
