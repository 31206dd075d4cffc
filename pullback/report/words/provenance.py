"""What a report was made with: versions, processor, cores."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("numpy", "scipy", "sympy", "llvmlite", "scikit-learn", "plotly")


def versions() -> dict[str, str]:
    """pullback, Python and the libraries that numbers may depend on, each with its version."""
    # imports go down only, and the version stands in the face, above this room
    own = sys.modules["pullback"].__version__
    found = {"pullback": own, "Python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name and how many of its cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return f"{_model()}, {cores} core{'s' if cores > 1 else ''}"


def system() -> str:
    """The operating system."""
    return f"{platform.system()} {platform.release()}"


def _model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
