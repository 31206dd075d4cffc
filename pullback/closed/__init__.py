"""Closed forms: what the recursion of δ comes to, where it comes to anything."""

from pullback.closed.answer import closed_form
from pullback.closed.convolution.state_space import StateSpace
from pullback.closed.fixed_point.point import FixedPoint
from pullback.closed.power.recurrence import Recurrence
from pullback.closed.record import ClosedForm, Cost

__all__ = ["ClosedForm", "Cost", "FixedPoint", "Recurrence", "StateSpace", "closed_form"]
