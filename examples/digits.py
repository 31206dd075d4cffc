"""Handwritten digits on as many processes as there are: the same script on each of them.

python digits.py                                                   alone
srun python digits.py                                              in a job of SLURM
python digits.py --coordinator HOST:PORT --processes 2 --process 0    by hand, 1 on the other
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pullback as pb

parser = argparse.ArgumentParser()
parser.add_argument("--coordinator", help="HOST:PORT of process 0")
parser.add_argument("--processes", type=int)
parser.add_argument("--process", type=int)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--checkpoint", help="a file that all processes see, to go on from")
options = parser.parse_args()

# before anything else of jax; None is found under SLURM, Open MPI and Kubernetes
process, processes = pb.join_processes(
    options.coordinator, options.processes, options.process, timeout=300
)
digits = load_digits()
X = (digits.data / 16).astype("float32")
X, X_test, Y, Y_test = train_test_split(X, digits.target, test_size=0.2, random_state=0)

net = pb.Network(
    pb.Sequential(pb.Linear(64, 64), pb.ReLU(), pb.Linear(64, 10)), loss=pb.CrossEntropy()
)
result = pb.fit(
    net,
    X,
    Y,
    optimizer=pb.optim.Adam(0.01),
    epochs=options.epochs,
    batch_size=64,  # over all processes together
    validation=(X_test, Y_test),
    engine="jax",
    checkpoint=options.checkpoint,
    resume=options.checkpoint is not None,
)
if process == 0:
    print(f"{processes} processes: {result}", flush=True)
