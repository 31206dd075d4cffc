"""The training of a network as the fast engine runs it, for the end of a Numba module."""

from __future__ import annotations

from pullback import emit
from pullback.errors import NotApplicableError
from pullback.net.network import Network
from pullback.train.optim import SGD, equations

TITLE = "# Training, as the fast engine compiles it."
_TEMPLATE = """

{title} Workers share the rows of each batch and meet where
# one needs what another has made. `run` takes numbers and the addresses of arrays; by_arrays makes
# of it a function that takes the arrays. What it names comes from pullback: products, what workers
# call, and vectorised functions, which from here on stand for those of the same names above.
from pullback.train.compiled_epoch import by_arrays, namespace

globals().update(namespace({functions!r}, "float64"))

{source}

run = by_arrays(run)
"""


def training_code(net: Network) -> str:
    """The source of all steps of an epoch by plain gradient descent, with what it needs.

    A comment that says why, where the fast engine does not run the network.
    """
    try:
        epoch = emit.training_epoch(net.training_roots, equations(SGD(1.0)), net.leaves)
    except NotApplicableError as refusal:
        return f"\n\n# {str(refusal).partition(':')[0]}.\n"
    return _TEMPLATE.format(title=TITLE, functions=epoch.functions, source=epoch.source)
