"""Why a network does not learn: observed, suspected, and tried in training."""

from pullback.doctor.finding import Diagnosis, Finding
from pullback.doctor.front import doctor

__all__ = ["Diagnosis", "Finding", "doctor"]
