"""The statistics of δ: what the error vector of a network looks like before training."""

from pullback.moments.answer.assertion import assert_gradients_ok
from pullback.moments.answer.forecast import Forecast, forecast
from pullback.moments.answer.phase import PhaseDiagram, phase_diagram

__all__ = ["Forecast", "PhaseDiagram", "assert_gradients_ok", "forecast", "phase_diagram"]
