"""Data from files, checked before anything is learnt from it."""

from pullback.data.dataset import Dataset, split, split_rows
from pullback.data.load import load
from pullback.data.preprocessing import Preprocessing
from pullback.data.scaling import Scaling

__all__ = ["Dataset", "Preprocessing", "Scaling", "load", "split", "split_rows"]
