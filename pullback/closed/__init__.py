"""Closed forms: what the recursion of δ comes to, where it comes to anything."""

from pullback.closed.answer import closed_form
from pullback.closed.fixed_point import FixedPoint
from pullback.closed.record import ClosedForm, Cost
from pullback.closed.recurrence import Recurrence

__all__ = ["ClosedForm", "Cost", "FixedPoint", "Recurrence", "closed_form"]
