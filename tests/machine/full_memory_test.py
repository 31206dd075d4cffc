"""Code is linked in a process whose free memory lies in small holes, far apart."""

import subprocess
import sys

import pytest

CODE = """
import ctypes

from llvmlite import ir

from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code

module = ir.Module("m")
double, whole = ir.DoubleType(), ir.IntType(64)
function = ir.Function(module, ir.FunctionType(double, [double]), "entry")
builder = ir.IRBuilder(function.append_basic_block())
values = ir.Constant(ir.ArrayType(double, 64), [float(i) for i in range(64)])
table = ir.GlobalVariable(module, values.type, "table")
table.initializer, table.global_constant, table.linkage = values, True, "internal"
at = builder.fptosi(function.args[0], whole)
entry = builder.load(builder.gep(table, [ir.Constant(whole, 0), at]))
builder.ret(builder.fadd(entry, ir.Constant(double, 0.7)))
code = optimised_code(module)
linked(code, "entry")

libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
PAGE, FAR, RESERVED = 4096, 3 << 30, 0x4022  # private, anonymous, of no real memory


def taken(size):
    return libc.mmap(None, size, 0, RESERVED, -1, 0)


regions = [taken(FAR) for _ in range(40)]
for _ in range(100_000):  # whatever is free between other mappings
    if taken(PAGE) < min(regions):
        break
for region in regions:
    libc.munmap(region + FAR // 2, PAGE)
library = linked(code, "entry")
print(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library["entry"])(3.0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it lays out memory by Linux's mmap")
def test_code_is_linked_where_no_two_free_pages_are_near():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 3.7
