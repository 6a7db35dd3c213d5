from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from sfumato.errors import InputError, UsageError
from sfumato.quality.intervals import (
    bradley_terry,
    crossed_interval,
    crossed_interval_of,
    mean_interval,
    normal_quantile,
    share_interval,
    sign_flip_test,
    t_quantile,
)
from support import FLOAT32, FLOAT64, NETWORK32, SUM32

# ---- quantiles and plain intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95, 0.99, 0.9999])
@pytest.mark.parametrize("df", [1, 1.3, 2, 4, 7.7, 30, 1234.5, 1e6, 1e12])
def test_quantiles_are_those_of_scipy(level: float, df: float) -> None:
    p = 0.5 + level / 2
    assert normal_quantile(level) == pytest.approx(scipy.stats.norm.ppf(p), rel=FLOAT64)
    assert t_quantile(level, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-8 if level <= 0.99 else 1e-5)


@pytest.mark.parametrize(("level", "df"), [(0, 3), (1, 3), (95, 3), (math.nan, 3), (0.95, 0.5), (0.95, math.nan)])
def test_quantiles_of_nonsense(level: float, df: float) -> None:
    with pytest.raises(UsageError):
        t_quantile(level, df)


def test_the_interval_of_a_mean_is_student_s(rng: np.random.Generator) -> None:
    x = rng.normal(3, 2, 12)
    low, high = scipy.stats.t.interval(0.9, 11, x.mean(), scipy.stats.sem(x))
    found = mean_interval(x, 0.9)
    assert (found.value, found.low, found.high) == pytest.approx((x.mean(), low, high), rel=FLOAT64)
    for wrong in ([1.0], [1.0, math.nan], [[1.0, 2.0]]):
        with pytest.raises(InputError):
            mean_interval(wrong)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (3, 7), (7, 7), (431, 1000)])
def test_the_interval_of_a_share_is_wilson_s(hits: int, n: int) -> None:
    wanted = scipy.stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
    found = share_interval(hits / n, n)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=FLOAT64)
    assert found.low <= found.value <= found.high
    with pytest.raises(UsageError):
        share_interval(1.5, n)


# ---- styles x contents -----------------------------------------------------------------------------------------------


def design(rng: np.random.Generator, shape: tuple[int, int], split: tuple[float, float, float]) -> np.ndarray:
    """A table with mean 3; the split is the variance of styles, contents and the rest."""
    style, content, rest = np.sqrt(split)
    return (  # type: ignore[no-any-return]
        3
        + style * rng.normal(size=(shape[0], 1))
        + content * rng.normal(size=(1, shape[1]))
        + rest * rng.normal(size=shape)
    )


def test_a_complete_table_has_the_classical_interval(rng: np.random.Generator) -> None:
    a, b = 6, 9
    y = design(rng, (a, b), (0.5, 0.4, 0.1))
    ms_a = b * y.mean(1).var(ddof=1)
    ms_b = a * y.mean(0).var(ddof=1)
    rest = y - y.mean(1, keepdims=True) - y.mean(0) + y.mean()
    ms_e = (rest**2).sum() / ((a - 1) * (b - 1))
    parts, dfs = np.array([ms_a, ms_b, -ms_e]) / (a * b), np.array([a - 1, b - 1, (a - 1) * (b - 1)])
    df = parts.sum() ** 2 / (parts**2 / dfs).sum()
    low, high = scipy.stats.t.interval(0.95, df, y.mean(), np.sqrt(parts.sum()))
    found = crossed_interval(y)
    assert (found.value, found.low, found.high) == pytest.approx((y.mean(), low, high), rel=FLOAT64)


def test_order_and_form_of_a_table_do_not_matter(rng: np.random.Generator) -> None:
    y = design(rng, (5, 8), (0.3, 0.3, 0.4))
    y[rng.random(y.shape) < 0.2] = np.nan
    wanted = crossed_interval(y, 0.9)
    turned = crossed_interval(y[rng.permutation(5)][:, rng.permutation(8)].T, 0.9)
    cells = rng.permutation(np.argwhere(~np.isnan(y)))
    table = crossed_interval_of([y[i, j] for i, j in cells], [f"s{i}" for i, _ in cells], [j for _, j in cells], 0.9)
    padded = np.full((7, 10), np.nan)  # a style and contents that no pair has are not there
    padded[1:6, :8] = y
    for found in (turned, table, crossed_interval(padded, 0.9)):
        assert (found.value, found.low, found.high) == pytest.approx(
            (wanted.value, wanted.low, wanted.high), rel=FLOAT64
        )
    moved = crossed_interval(5 - 10 * y, 0.9)
    assert (moved.low, moved.high) == pytest.approx((5 - 10 * wanted.high, 5 - 10 * wanted.low), rel=FLOAT64)


def test_levels_are_nested_and_equal_values_have_no_width(rng: np.random.Generator) -> None:
    y = design(rng, (5, 8), (0.3, 0.3, 0.4))
    wide, narrow = crossed_interval(y, 0.99), crossed_interval(y, 0.8)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    flat = crossed_interval(np.full((3, 4), 2.5))
    assert (flat.value, flat.low, flat.high) == (2.5, 2.5, 2.5)


def test_tables_that_give_no_interval() -> None:
    y = np.arange(12.0).reshape(3, 4)
    one, infinite, sparse = y[:1], y.copy(), np.full((4, 4), np.nan)
    infinite[0, 0] = np.inf
    np.fill_diagonal(sparse, 1.0)
    for wrong in (one, infinite, sparse, y[0], np.full((3, 4), np.nan)):
        with pytest.raises(InputError):
            crossed_interval(wrong)
    for values, styles, contents in (
        ([1, 2, 3], "aab", "xyy"),  # nothing is left for the rest
        ([1, 2, 3, 4, 5], "aabba", "xyxyx"),  # a pair twice
        ([1, 2, 3, np.nan], "aabb", "xyxy"),
        ([1, 2, 3], "aabb", "xyxy"),
    ):
        with pytest.raises(InputError):
            crossed_interval_of(values, styles, contents)


#: Where the rest dominates, the floor under the variance makes intervals of few styles somewhat wide.
MAX_GRAPH_BYTES = {(0.8, 0.1, 0.1): 0.98, (0.1, 0.8, 0.1): 0.98, (1 / 3, 1 / 3, 1 / 3): 0.98, (0.1, 0.1, 0.8): 0.99}
SPLITS = list(MAX_GRAPH_BYTES)


def coverage(shape: tuple[int, int], split: tuple[float, float, float], missing: float, repeats: int) -> float:
    hits = 0
    for repeat in range(repeats):
        rng = np.random.default_rng([repeat, *shape])
        y = design(rng, shape, split)
        y[rng.random(shape) < missing] = np.nan
        found = crossed_interval(y)
        hits += found.low <= 3 <= found.high
    return hits / repeats


@pytest.mark.parametrize("split", SPLITS)
def test_intervals_of_small_designs_hold_the_truth(split: tuple[float, float, float]) -> None:
    assert 0.92 <= coverage((5, 12), split, 0.0, 200) <= MAX_GRAPH_BYTES[split]


def test_a_plain_standard_error_would_not() -> None:
    """What the crossed interval is for: of 300 designs the usual one holds the truth in a third."""
    hits = 0
    for repeat in range(300):
        plain = mean_interval(design(np.random.default_rng(repeat), (5, 12), SPLITS[0]).ravel())
        hits += plain.low <= 3 <= plain.high
    assert hits / 300 < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0.0, 0.25])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("shape", [(5, 12), (20, 20), (10, 40)])
def test_intervals_hold_the_truth(shape: tuple[int, int], split: tuple[float, float, float], missing: float) -> None:
    assert 0.92 <= coverage(shape, split, missing, 300) <= MAX_GRAPH_BYTES[split]


# ---- sign flips ------------------------------------------------------------------------------------------------------


def test_few_blocks_are_tried_in_full(rng: np.random.Generator) -> None:
    x = rng.normal(0.4, 1, 9)
    flips = [abs(np.dot(signs, x)) for signs in itertools.product([-1, 1], repeat=9)]
    assert sign_flip_test(x) == pytest.approx(np.mean(np.array(flips) >= abs(x.sum()) - 1e-12), abs=1e-12)
    wanted = scipy.stats.permutation_test(
        (x, np.zeros(9)), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples", vectorized=True
    ).pvalue
    assert sign_flip_test(x) == pytest.approx(wanted, abs=1e-12)


def test_blocks_flip_together(rng: np.random.Generator) -> None:
    assert sign_flip_test([1, 2, 3, 4, 5]) == 2 / 32
    assert sign_flip_test([1, 2, 3, 4, 5], "aabbb") == 2 / 4
    assert sign_flip_test([1, 2, 3, 4, 5], "aaaaa") == 1
    assert sign_flip_test([1, -1, 2, -2]) == 1
    assert sign_flip_test([0.0, 0.0]) == 1
    x = rng.normal(1, 1, 12)
    order = rng.permutation(12)
    names = np.array(list("abcabcabcddd"))
    assert sign_flip_test(x, list(names)) == sign_flip_test(-x[order], list(names[order]))


def test_many_blocks_are_sampled(rng: np.random.Generator) -> None:
    x = rng.normal(0.5, 1, 15)
    flips = 1.0 - 2.0 * ((np.arange(2**15)[:, None] >> np.arange(15)) & 1)
    exact = float((np.abs(flips @ x) >= abs(x.sum()) - 1e-12).mean())
    found = sign_flip_test(x, draws=20_000, seed=3)
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4)
    assert found == sign_flip_test(x, draws=20_000, seed=3)
    assert sign_flip_test(np.ones(60), draws=999) == 1 / 1000  # never 0


def test_p_is_uniform_where_nothing_differs() -> None:
    """Level 0.05 and 0.2 with effects of 8 styles that a test of single pairs would take for findings."""
    found, naive = [], []
    for repeat in range(400):
        rng = np.random.default_rng([repeat, 11])
        blocks = np.repeat(np.arange(8), 3)
        x = rng.normal(size=8)[blocks] + 0.3 * rng.normal(size=24)
        found.append(sign_flip_test(x, list(blocks)))
        naive.append(scipy.stats.ttest_1samp(x, 0).pvalue)
    p = np.array(found)
    assert 0.02 <= (p <= 0.05).mean() <= 0.08
    assert 0.14 <= (p <= 0.2).mean() <= 0.26
    assert (np.array(naive) <= 0.05).mean() > 0.15


def test_differences_that_cannot_be_tested() -> None:
    for values, blocks in (([], None), ([1, np.nan], None), ([1, 2], "a"), ([[1, 2]], None)):
        with pytest.raises(InputError):
            sign_flip_test(values, blocks)
    with pytest.raises(UsageError):
        sign_flip_test(np.ones(20), draws=0)


# ---- votes -----------------------------------------------------------------------------------------------------------


def votes(rng: np.random.Generator, strengths: np.ndarray, games: int) -> np.ndarray:
    K = len(strengths)
    wins = np.zeros((K, K))
    for i, j in itertools.combinations(range(K), 2):
        wins[i, j] = rng.binomial(games, 1 / (1 + np.exp(strengths[j] - strengths[i])))
        wins[j, i] = games - wins[i, j]
    return wins


def test_two_items_by_hand() -> None:
    found = bradley_terry([[0, 30], [10, 0]], prior=1e-9)
    assert found.strengths == pytest.approx([math.log(3) / 2, -math.log(3) / 2], abs=FLOAT32)
    sd = math.sqrt(1 / 30 + 1 / 10)  # of the log odds, which are the difference of the two
    assert found.high - found.low == pytest.approx([sd * 1.959964] * 2, rel=FLOAT32)
    c = found.covariance
    assert c[0, 0] + c[1, 1] - 2 * c[0, 1] == pytest.approx(sd**2, rel=FLOAT32)


def test_strengths_are_those_of_hunter_s_iteration(rng: np.random.Generator) -> None:
    wins = votes(rng, np.array([0.9, 0.2, 0.0, -0.3, -0.8]), 40)
    wins[0, 1] = wins[1, 0] = 0  # not all pairs need meet
    p, games = np.ones(5), wins + wins.T
    for _ in range(2000):  # MM, Hunter 2004, eq. 3
        p = wins.sum(1) / (games / (p[:, None] + p)).sum(1)
        p /= np.exp(np.log(p).mean())
    assert bradley_terry(wins, prior=1e-10).strengths == pytest.approx(np.log(p), abs=1e-8)
    assert bradley_terry(wins).strengths == pytest.approx(np.log(p), abs=5e-3)  # what the prior costs
    assert bradley_terry(wins).strengths.sum() == pytest.approx(0, abs=1e-12)


def test_the_posterior_is_at_its_peak_and_its_curvature_is_the_covariance(rng: np.random.Generator) -> None:
    wins, prior = votes(rng, np.array([2.0, 0.0, -0.5, -1.5]), 6), 0.3

    def loss(s: np.ndarray) -> float:
        return float((wins * np.log1p(np.exp(s[None] - s[:, None]))).sum() + prior / 2 * (s**2).sum())

    found = bradley_terry(wins, prior=prior)
    wanted = scipy.optimize.minimize(loss, np.zeros(4), options={"gtol": 1e-8}).x
    assert found.strengths == pytest.approx(wanted, abs=SUM32)
    h = 1e-4
    steps = h * np.eye(4)
    s = found.strengths
    curvature = np.array(
        [
            [(loss(s + u + v) - loss(s + u - v) - loss(s - u + v) + loss(s - u - v)) / (4 * h * h) for v in steps]
            for u in steps
        ]
    )
    centre = np.eye(4) - 0.25
    assert found.covariance == pytest.approx(centre @ np.linalg.inv(curvature) @ centre, rel=NETWORK32)


def test_an_item_that_never_lost_stays_finite() -> None:
    found = bradley_terry([[0, 20, 20], [0, 0, 12], [0, 8, 0]])
    assert np.isfinite([found.strengths, found.low, found.high]).all()
    assert found.strengths.argmax() == 0
    assert found.high[0] - found.low[0] > 3 * (found.high[1] - found.low[1]) / 2
    relabelled = bradley_terry(np.array([[0, 20, 20], [0, 0, 12], [0, 8, 0]])[::-1, ::-1])
    assert relabelled.strengths[::-1] == pytest.approx(found.strengths, abs=FLOAT64)


def test_intervals_of_strengths_hold_the_truth() -> None:
    truth = np.array([0.8, 0.3, 0.0, -0.4, -0.7])
    hits = [
        (found.low <= truth) & (truth <= found.high)
        for found in (bradley_terry(votes(np.random.default_rng([r, 5]), truth, 20)) for r in range(300))
    ]
    assert 0.92 <= np.mean(hits) <= 0.98


def test_votes_that_give_no_ranking() -> None:
    apart = np.zeros((4, 4))
    apart[0, 1] = apart[1, 0] = apart[2, 3] = 5
    with pytest.raises(InputError, match="not connected"):
        bradley_terry(apart)
    for wrong in ([[0]], [[1, 2], [3, 0]], [[0, -1], [2, 0]], [[0, np.nan], [1, 0]], [[0, 1, 2], [1, 0, 2]]):
        with pytest.raises(InputError):
            bradley_terry(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        bradley_terry([[0, 1], [1, 0]], prior=0)
