"""Data from files, checked before anything is learnt from it."""

from pullback.data.dataset import Dataset, Scaling, split
from pullback.data.load import load

__all__ = ["Dataset", "Scaling", "load", "split"]
