"""The processor that is here, as LLVM knows it."""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import binding, ir

# What we write has its loops and vectors already: what is left is to keep numbers in registers and
# to take what is there twice once. LLVM's own list takes four times as long for the same speed.
_PASSES = ("sroa", "simplify_cfg", "instruction_combine", "new_gvn", "simplify_cfg")


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
    passes = binding.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    options = binding.create_pipeline_tuning_options(speed_level=1)
    passes.run(parsed, binding.create_pass_builder(machine, options))
    code: bytes = machine.emit_object(parsed)
    return code


def _target() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple()
