"""Training steps side by side: pullback, torch, torch.compile, jax, jax with scan, scikit-learn.

    python benchmarks/train.py [--quick] [--json train.json] [--only 784,128,64,10] [--help]

This is ``pullback bench``. Every peer gets the same data, first parameters, order of batches and
learning rate, in float32, on the same number of threads, in a process of its own. Rounds are
interleaved and medians taken; a measurement that others disturbed is made again. The floor is the
matrix products alone. Who cannot take part is named with the reason. All must have the same mean
loss over their first pass.
"""

import sys

from pullback.cli import main

main(["bench", *sys.argv[1:]])
