"""Attention: moments of softmax rows, and the laws of values and errors of a head."""

from __future__ import annotations

import numpy as np
import pytest
from attention_by_draws import Case
from scipy import integrate

from pullback.moments.law.attention.head import Head, Tokens
from pullback.moments.law.attention.softmax_rows import row_moments, shared


def squares(std, keys):
    return row_moments(np.array([std**2]), np.array([keys])).squares[0]


def density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def integral(std, keys):
    """T ΣA² = T² ∫ λ E[e^(2x − λe^x)] (E e^(−λe^x))^(T−1) dλ, by other nodes, in ln λ."""
    x = np.linspace(-13, 13, 1001)
    weight = density(x) * (x[1] - x[0])
    u = np.linspace(-13 * std - 25, 13 * std + 5, 801)
    a = np.exp(np.minimum(u[:, None] + std * x, 50))
    inner = (a**2 * np.exp(-a)) @ weight * (np.exp(-a) @ weight) ** (keys - 1)
    return keys**2 * integrate.simpson(inner, x=u)


@pytest.mark.parametrize(
    ("std", "keys", "printed"),
    [(0.5, 64, 1.275), (1.0, 64, 2.483), (1.5, 64, 5.506), (2.0, 1024, 29.2)],
)
def test_the_sum_of_squares_is_its_exact_integral(std, keys, printed):
    found = keys * squares(std, keys)
    assert found == pytest.approx(integral(std, keys), rel=1e-9)
    assert found == pytest.approx(printed, abs=0.6 * 10 ** -(3 if printed < 10 else 1))


@pytest.mark.parametrize("keys", [16, 1024])
def test_the_integral_holds_where_one_weight_takes_over(keys):
    std = np.sqrt(2 * np.log(keys))  # the random energy model condenses
    assert keys * squares(std, keys) == pytest.approx(integral(std, keys), rel=1e-9)
    assert 0.15 < squares(std, keys) < np.exp(std**2) / keys / 10


def test_rows_of_two_keys_are_logistic():
    std = 1.7
    x = np.linspace(-12, 12, 20001)
    weight = density(x) * (x[1] - x[0])
    a = 1 / (1 + np.exp(-np.sqrt(2) * std * x))
    row = row_moments(np.array([std**2]), np.array([2]))
    assert row.squares[0] == pytest.approx(weight @ (a**2 + (1 - a) ** 2), rel=1e-9)
    assert row.slopes[0] == pytest.approx(weight @ (2 * a * (1 - a)) ** 2, rel=1e-9)
    assert row.rest[0] == pytest.approx(row.slopes[0], rel=1e-9)
    # x₁ A + x₂ (1 − A): the half sum is independent of the weights
    assert row.pull[0] == pytest.approx(0.5 + weight @ (x * (2 * a - 1)) ** 2 / 2, rel=1e-9)


def test_a_row_of_one_key_is_one_and_of_none_is_zero():
    rows = row_moments(np.array([1.0, 1.0, 0.0]), np.array([1, 0, 5]))
    assert rows.squares.tolist() == [1.0, 0.0, pytest.approx(0.2)]
    assert rows.slopes.tolist() == [0.0, 0.0, pytest.approx(0.2 * 0.8)]


def test_small_logits_give_powers_of_e():
    assert 4096 * squares(0.3, 4096) == pytest.approx(np.exp(0.09), rel=1e-4)


@pytest.mark.parametrize(("std", "correlation"), [(1.0, 0.3), (2.5, 0.9), (1.0, -0.6)])
def test_two_rows_share_what_draws_say(std, correlation):
    rng = np.random.default_rng(0)
    w, u, v = rng.normal(size=(3, 20_000, 12))
    c, own = np.sqrt(abs(correlation)), np.sqrt(1 - abs(correlation))
    one, two = (
        np.exp(std * (c * w + own * u)),
        np.exp(std * (np.sign(correlation) * c * w + own * v)),
    )
    each = (one * two).sum(axis=1) / one.sum(axis=1) / two.sum(axis=1)
    found = shared(std**2, correlation, np.array([12]))[0]
    assert abs(found - each.mean()) < 4 * each.std() / np.sqrt(len(each))


def test_two_rows_share_between_the_ends():
    ends = shared(1.0, 0.0, np.array([64]))[0], squares(1.0, 64)
    assert ends[0] == 1 / 64
    assert shared(1.0, 1.0, np.array([64]))[0] == ends[1]
    assert shared(1.0, 1 - 1e-8, np.array([64]))[0] == pytest.approx(ends[1], rel=1e-6)
    weak = [shared(1.0, c, np.array([64]))[0] - 1 / 64 for c in (0.99e-4, 1.01e-4)]
    assert weak[1] / weak[0] == pytest.approx(1.01 / 0.99, rel=1e-3)  # either side of the switch
    many = shared(0.25, 0.5, np.array([100_000]))[0]
    assert 100_000 * many == pytest.approx(np.exp(0.125), rel=1e-4)


FORWARD = [  # case, simulated, standard error, the formula's value
    (Case(64, 128, 128, 0.25), 0.0223, 0.0004, 0.0219),
    (Case(64, 128, 128, 1.0), 0.0461, 0.0008, 0.0466),
    (Case(256, 128, 128, 1.0), 0.0183, 0.0006, 0.0182),
    (Case(256, 64, 64, 1.0, 0.5), 0.50685, 0.00018, 0.50710),
]


@pytest.mark.parametrize(("case", "simulated", "error", "printed"), FORWARD)
def test_the_value_of_a_head(case, simulated, error, printed):
    found = case.head().output.square
    assert np.ptp(found) == 0
    assert abs(found[0] - simulated) < 4 * error
    own, variance = 1 - case.correlation, case.variance * (1 - case.correlation)
    formula = own * squares(np.sqrt(variance), case.tokens) + case.correlation
    assert case.head(width=np.inf).output.square[0] == pytest.approx(formula, rel=1e-9)
    formula += own**2 * case.variance / case.width  # the pull, with many keys
    assert formula == pytest.approx(printed, abs=6e-5)
    assert found[0] - case.correlation == pytest.approx(formula - case.correlation, rel=0.02)


def test_attention_makes_tokens_alike():
    case = Case(64, 128, 128, 1.0, 0.5)
    head = case.head(width=np.inf)
    kept = 0.5 + 0.5 * shared(0.5, 0.5, np.array([64]))[0]
    assert head.output.product == pytest.approx(kept, rel=1e-9)
    assert abs(head.output.product - 0.500) < 4 * 0.014
    assert head.output.correlation > 0.98


RATIOS = [  # case, simulated query and key path over the value path, tolerances, formulas
    (Case(64, 128, 128, 0.25), (0.339, 0.248), 0.348),
    (Case(256, 128, 128, 1.0), (1.70, 0.98), 1.757),
]


@pytest.mark.parametrize(("case", "simulated", "printed"), RATIOS)
def test_paths_of_a_cotangent(case, simulated, printed):
    size = np.sqrt(case.variance)
    errors = case.head().backward(case.cotangent())
    value = errors.value.square.mean()
    query, key = (size * each.square.mean() / value for each in (errors.query, errors.key))
    assert query == pytest.approx(simulated[0], rel=0.05)
    assert key == pytest.approx(simulated[1], rel=0.05)
    sums = squares(size, case.tokens)
    assert value == pytest.approx(sums, rel=1e-9)
    many = case.variance * (1 + 1 / case.width / sums)  # with many keys
    assert many == pytest.approx(printed, abs=2e-3)
    assert query == pytest.approx(many, rel=0.05)


def test_correlated_tokens_take_less_from_queries_and_keys():
    errors = Case(64, 128, 128, 1.0, 0.5).head().backward(Tokens.alike(64, 1.0))
    value = errors.value.square.mean()
    assert errors.query.square.mean() / value == pytest.approx(0.334, rel=0.08)
    assert errors.key.square.mean() / value == pytest.approx(0.499, rel=0.08)


def test_few_keys_have_less_slope():
    row = row_moments(np.array([2.25]), np.array([64]))
    assert row.slopes[0] / row.squares[0] == pytest.approx(0.7, abs=0.03)


def test_correlated_cotangents_add_up_in_values_and_keys():
    apart = Case(64, 128, 128, 1.0, 0.0, 0.5)
    errors = apart.head().backward(apart.cotangent())
    assert abs(errors.value.square.mean() - 0.530) < 4 * 0.011
    # queries are alike by chance, 1/d + 1/width: 0.0341 without it (simulated by this Case, 300)
    assert abs(errors.key.square.mean() - 0.0414) < 4 * 0.0005
    both = Case(64, 128, 128, 1.0, 0.5, 0.5)
    errors = both.head().backward(both.cotangent())
    assert abs(errors.value.square.mean() - 0.620) < 4 * 0.015
    alone = both.head().backward(Tokens.alike(64, 1.0))
    # queries that are alike and cotangents that are alike: 14 times as much as either alone
    assert errors.key.square.mean() > 10 * alone.key.square.mean()


def test_the_first_tokens_of_causal_attention_get_most():
    case = Case(32, 256, 256, 0.25, causal=True)
    profile = case.head().backward(case.cotangent()).value.square
    for token, simulated, error in ((0, 1.706, 0.044), (7, 0.127, 0.006), (31, 0.0016, 0.0003)):
        assert abs(profile[token] - simulated) < 4 * error
    row = row_moments(np.full(32, 0.25), np.arange(1, 33)).squares / np.arange(1, 33)
    assert profile == pytest.approx(np.cumsum(row[::-1])[::-1], rel=1e-9)


SIMULATED = [
    Case(16, 128, 128, 1.0),
    Case(16, 128, 128, 0.5, 0.5, 0.3),
    Case(12, 128, 64, 1.0, 0.3, 0.4, causal=True),
]


@pytest.mark.parametrize("case", SIMULATED)
def test_the_laws_are_what_draws_say(case):
    mean, error = case.drawn(100, seed=3)
    assert (np.abs(mean - case.law()) < 4 * error + 1e-12).all()


def test_padding_is_no_key():
    four, full = Tokens.alike(4, 1.0), Tokens.alike(9, 1.0)
    padded = Head(full, full, full, np.full(9, 4), 0.5, 4, 4, 32)
    short = Head(full, four, four, np.full(9, 4), 0.5, 4, 4, 32)
    assert padded.output.square == pytest.approx(short.output.square)
    one, two = (each.backward(full).value.square for each in (padded, short))
    assert one[:4] == pytest.approx(two)
    assert not one[4:].any()


def test_what_reads_no_key_is_zero():
    alike = Tokens.alike(3, 1.0, 0.5)
    head = Head(alike, alike, alike, np.array([0, 2, 3]), 0.5, 4, 4, 32)
    errors = head.backward(alike)
    for each in (head.output.square, errors.query.square, errors.scores, errors.weights):
        assert each[0] == 0
        assert (each[1:] > 0).all()


def test_biases_of_keys_change_nothing():
    """A bias of all keys alike is in their product, which a softmax does not see."""
    plain, biased = Tokens.alike(5, 1.0, 0.2), Tokens(np.full(5, 4.0), 3.2)
    one, two = (Head(plain, key, plain, np.full(5, 5), 0.5, 4, 4, 32) for key in (plain, biased))
    assert one.output.square == pytest.approx(two.output.square)
    assert one.backward(plain).query.square == pytest.approx(two.backward(plain).query.square)


def test_every_answer_says_what_it_rests_on():
    alike = Tokens.alike(3, 1.0)
    head = Head(alike, alike, alike, np.full(3, 3), 0.5, 4, 4, 32)
    errors = head.backward(alike)
    for each in (head.output, errors.value, errors.key, errors.query):
        assert each.assumption.startswith("limit")
