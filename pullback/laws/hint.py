"""What a wrong gradient looks like: a multiple of the right one, transposed, a term short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pullback.laws.record import Array

CLOSE = 1e-4  # a likeness is one to this share of the right gradient's largest entry


@dataclass(frozen=True)
class MeasuredEntry:
    """One entry of a gradient: where, what is claimed, and what it should be."""

    index: tuple[int, ...]
    found: float
    expected: float


def hint(
    claimed: Mapping[str, Array],
    point: Mapping[str, Array],
    measured: Mapping[str, Sequence[MeasuredEntry]],
    wrong: Sequence[str],
    overwritten: Sequence[str],
) -> str:
    """What is wrong with the arrays that are, in words; empty if nothing fits."""
    if not wrong:
        return ""
    likenesses = {
        name: _likeness(name, claimed, point, measured)
        for name in wrong
        if name in measured and all(np.isfinite(m.found) for m in measured[name])
    }
    found = {name: text for name, text in likenesses.items() if text}
    texts: list[str] = []
    for text in dict.fromkeys(found.values()):
        names = [name for name, each in found.items() if each == text]
        everything = len(names) == len(claimed)
        subject = "it is" if everything else f"that of {_listed(names)} is"
        texts.append(f"{subject} {text}")
    if overwritten:
        texts.append(
            f"the function overwrites {_listed(overwritten)}: was the gradient taken before that?"
        )
    return "; ".join(texts)


def _likeness(
    name: str,
    claimed: Mapping[str, Array],
    point: Mapping[str, Array],
    measured: Mapping[str, Sequence[MeasuredEntry]],
) -> str:
    entries = measured[name]
    found = np.array([m.found for m in entries])
    right = np.array([m.expected for m in entries])
    largest = float(np.abs(right).max())
    if largest <= CLOSE * CLOSE * float(np.abs(found).max()):
        return ""
    factor = float(found @ right / (right @ right))
    if np.abs(found - factor * right).max() <= CLOSE * max(abs(factor), CLOSE) * largest:
        return _multiple(factor, sum(map(len, measured.values())))
    given = claimed[name]
    if given.ndim == 2:
        turned = {"the right gradient transposed": given.T} if len(set(given.shape)) == 1 else {}
        turned["the right gradient reshaped where it should be transposed"] = given.reshape(
            given.shape[::-1]
        ).T
        for text, other in turned.items():
            if _same(other, entries, largest):
                return text
    for other_name, other in claimed.items():
        if other_name != name and other.shape == given.shape and _same(other, entries, largest):
            return f"right for {other_name}, not for {name}"
    return _term(found - right, np.array([point[name][m.index] for m in entries]), name)


def _multiple(factor: float, entries: int) -> str:
    known = {0.0: "0 everywhere", -1.0: "the right gradient with its sign changed"}
    known |= {2.0: "twice the right gradient", 0.5: "half the right gradient"}
    for value, text in known.items():
        if abs(factor - value) <= CLOSE:
            return text
    for times, form in ((factor, "{} times the right gradient"), (1 / factor, "1/{} of it")):
        whole = round(times)
        if abs(whole) >= 2 and abs(times - whole) <= CLOSE * abs(times):
            text = form.format(whole)
            if form.startswith("1/"):
                text = f"the right gradient divided by {whole}"
            return f"{text}: a sum where the mean is meant, or the other way round?"
    off = entries > 1 and abs(factor - 1) > CLOSE
    return f"{factor:.6g} times the right gradient" if off else ""


def _same(other: Array, entries: Sequence[MeasuredEntry], largest: float) -> bool:
    return len(entries) > 1 and all(
        abs(float(other[m.index]) - m.expected) <= CLOSE * largest for m in entries
    )


def _term(excess: Array, at: Array, name: str) -> str:
    """Is the difference a multiple of the array itself, as an l2 penalty's gradient is?"""
    if len(at) < 2 or not at.any():
        return ""
    times = float(excess @ at / (at @ at))
    if np.abs(excess - times * at).max() > CLOSE * np.abs(excess).max():
        return ""
    side = "too much" if times > 0 else "too little"
    return f"the right gradient and {abs(times):.4g} × {name} {side}: a penalty on its square?"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
