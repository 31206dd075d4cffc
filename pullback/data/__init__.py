"""Data from files, checked before anything is learnt from it."""

from pullback.data.dataset import Dataset, Scaling, split, split_rows
from pullback.data.load import load

__all__ = ["Dataset", "Scaling", "load", "split", "split_rows"]
