from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import scipy.special
import scipy.stats

from sfumato.errors import InputError, UsageError
from sfumato.quality.features import Features
from sfumato.quality.frechet import Moments, bias_of_fid, fid, fid_infinity
from sfumato.quality.inception_score import inception_score
from sfumato.quality.kernel import kid
from sfumato.quality.neighbours import nearest_neighbour_accuracy, precision_recall
from support import FLOAT32, FLOAT64


def named(x: np.ndarray) -> Features:
    return Features("vgg", np.asarray(x))


def gathered(x: np.ndarray, backbone: str = "vgg") -> Moments:
    return Moments.of(Features(backbone, x))


def with_moments(mean: np.ndarray, root: np.ndarray, n: int = 5000) -> Moments:
    """Moments of a sample whose mean and covariance, root rootᵀ, are exact."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, len(mean)))
    x -= x.mean(0)
    x = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), x.T).T  # covariance 1
    return gathered(x @ root.T + mean)


# ---- moments ---------------------------------------------------------------------------------------------------------


def test_moments_do_not_depend_on_batches_or_order(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1000, 12)) @ rng.normal(size=(12, 12)) + 1e4 * rng.normal(size=12)
    exact = x.astype(np.longdouble)
    centred = exact - exact.mean(0)
    covariance = (centred.T @ centred / 999).astype(np.float64)
    for batch in (1, 7, 1000):
        for order in (np.arange(1000), rng.permutation(1000)):
            found = Moments("vgg")
            for start in range(0, 1000, batch):
                found.update(x[order[start : start + batch]])
            assert found.count == 1000
            np.testing.assert_allclose(found.mean, exact.mean(0).astype(np.float64), rtol=1e-12)
            error = np.abs(found.covariance - covariance).max() / np.abs(covariance).max()
            assert error < 1e-9


def test_moments_of_nothing_and_of_one() -> None:
    empty = Moments("vgg")
    empty.update(np.zeros((0, 3)))
    for part in ("mean", "covariance"):
        with pytest.raises(UsageError, match="picture"):
            getattr(empty, part)
    one = gathered(np.ones((1, 3)))
    one.update(np.zeros((0, 3)))
    assert one.mean.tolist() == [1, 1, 1]
    with pytest.raises(UsageError, match="2 or more"):
        _ = one.covariance


def test_moments_hand_out_copies(rng: np.random.Generator) -> None:
    moments = gathered(rng.normal(size=(5, 3)))
    mean, covariance = moments.mean, moments.covariance
    moments.mean[:] = 0
    moments.covariance[:] = 0
    np.testing.assert_array_equal(moments.mean, mean)
    np.testing.assert_array_equal(moments.covariance, covariance)


def test_features_that_cannot_be_gathered() -> None:
    moments = gathered(np.zeros((3, 4)))
    for wrong in (np.zeros((3, 5)), np.zeros(4), np.full((1, 4), np.nan), np.full((1, 4), np.inf)):
        with pytest.raises(InputError):
            moments.update(wrong)
    assert moments.count == 3
    with pytest.raises(UsageError, match="'vgg' and 'dino'"):
        fid(moments, gathered(np.zeros((3, 4)), "dino"))
    with pytest.raises(UsageError, match="4 and 5"):
        fid(moments, gathered(np.zeros((3, 5))))


# ---- Fréchet distance ------------------------------------------------------------------------------------------------


def reference_fid(x: np.ndarray, y: np.ndarray) -> float:
    """As the field computes it, by the square root of the product."""
    a, b = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * np.real(root)))


@pytest.mark.parametrize("D", [1, 2, 16, 64])
def test_fid_is_that_of_sqrtm(D: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(500, D)) @ rng.normal(size=(D, D))
    y = rng.normal(size=(400, D)) @ rng.normal(size=(D, D)) + 0.3
    found = fid(gathered(x), gathered(y))
    wanted = reference_fid(x, y) if D > 1 else float((x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2)
    assert found.value == pytest.approx(wanted, rel=FLOAT32)
    assert fid(gathered(y), gathered(x)).value == pytest.approx(found.value, rel=FLOAT64)
    assert (found.name, found.n, found.backbone, found.low, found.high) == ("fid", 400, "vgg", None, None)


def test_fid_of_gaussians_in_closed_form(rng: np.random.Generator) -> None:
    D = 8
    turn = scipy.stats.ortho_group.rvs(D, random_state=0)
    a, b = rng.uniform(0.5, 2, D), rng.uniform(0.5, 2, D)
    mean, shift = rng.normal(size=D), rng.normal(size=D)
    first = with_moments(mean, turn * a)  # covariances turn diag(a²) turnᵀ commute
    assert fid(first, with_moments(mean + shift, turn * a)).value == pytest.approx((shift**2).sum(), rel=FLOAT64)
    assert fid(first, with_moments(mean, turn * b)).value == pytest.approx(((a - b) ** 2).sum(), rel=FLOAT64)
    both = fid(first, with_moments(mean + shift, turn * b)).value
    assert both == pytest.approx((shift**2).sum() + ((a - b) ** 2).sum(), rel=FLOAT64)


def test_equal_sets_are_at_no_distance(rng: np.random.Generator) -> None:
    for n, D in ((300, 20), (20, 60)):
        moments = gathered(rng.normal(size=(n, D)) * np.linspace(10, 0.01, D))
        assert 0 <= fid(moments, moments).value < 1e-9
    flat = gathered(np.ones((5, 3)))
    assert fid(flat, flat).value == 0
    assert fid(flat, gathered(np.full((5, 3), 3.0))).value == pytest.approx(12)


def test_singular_covariances_do_no_harm(rng: np.random.Generator) -> None:
    """Of N pictures in many dimensions, FID is that of the few dimensions that they span."""
    x, y = rng.normal(size=(40, 12)), 1.5 * rng.normal(size=(40, 12))
    into = scipy.stats.ortho_group.rvs(60, random_state=1)[:12]
    wanted = fid(gathered(x), gathered(y)).value
    found = fid(gathered(x @ into), gathered(y @ into))
    assert found.value == pytest.approx(wanted, rel=FLOAT32)
    assert "rank-deficient" in found.note
    few = rng.normal(size=(10, 60)), rng.normal(size=(15, 60))  # nothing in common
    cross = np.linalg.svd((few[0] - few[0].mean(0)) @ (few[1] - few[1].mean(0)).T, compute_uv=False).sum()
    wanted = sum(float(np.trace(np.cov(z.T))) for z in few) - 2 * cross / np.sqrt(9 * 14)
    wanted += float(((few[0].mean(0) - few[1].mean(0)) ** 2).sum())
    assert fid(gathered(few[0]), gathered(few[1])).value == pytest.approx(wanted, rel=FLOAT32)


def test_few_pictures_are_noted(rng: np.random.Generator) -> None:
    many, few = gathered(rng.normal(size=(2048, 4))), gathered(rng.normal(size=(2047, 4)))
    assert fid(many, many).note == ""
    assert "2047 pictures" in fid(few, many).note
    with pytest.raises(UsageError, match="'vgg' and 'dino'"):
        fid(many, gathered(np.zeros((5, 4)), "dino"))
    with pytest.raises(UsageError, match="4 and 5"):
        fid(many, gathered(np.zeros((5, 5))))


@pytest.mark.parametrize(("n", "m", "D"), [(60, 60, 20), (15, 15, 20), (40, 12, 20)])
def test_the_bias_is_that_of_sampled_pictures(n: int, m: int, D: int) -> None:
    scale = 1 / np.sqrt(np.arange(1, D + 1))
    turn = scipy.stats.ortho_group.rvs(D, random_state=2)
    truth = with_moments(np.ones(D), turn * scale)
    seen = []
    for repeat in range(100):
        rng = np.random.default_rng([repeat, 1])
        samples = (gathered(rng.normal(size=(k, D)) * scale) for k in (n, m))
        seen.append(fid(*samples).value)
    found = bias_of_fid(truth, n, m, draws=100)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    error = np.std(seen) / 10 + (found.high - found.low) / 4
    assert found.value == pytest.approx(np.mean(seen), abs=3 * error)  # type: ignore[arg-type]
    assert found.value > 0.1


def test_the_bias_tends_to_its_closed_form() -> None:
    values = 1 / np.arange(1.0, 13.0)
    sums = values[:, None] + values
    terms = values[:, None] * values * (1 + np.eye(12)) / sums
    for n, m in ((20_000, 20_000), (5000, 80_000)):
        wanted = (1 / n + 1 / m) * (values.sum() + terms.sum() / 2)
        found = bias_of_fid(with_moments(np.zeros(12), np.diag(np.sqrt(values))), n, m, draws=300)
        assert found.value == pytest.approx(wanted, rel=0.05)
    assert found.note == ""
    assert "rough" in bias_of_fid(gathered(np.random.default_rng(0).normal(size=(5, 8))), 50).note
    with pytest.raises(UsageError):
        bias_of_fid(gathered(np.eye(3)), 1)


def decaying(rng: np.random.Generator, n: int, D: int) -> np.ndarray:
    return rng.normal(size=(n, D)) / np.sqrt(np.arange(1, D + 1))


def test_fid_at_infinity_has_no_bias_where_fid_has() -> None:
    plain, found = [], []
    for repeat in range(40):
        rng = np.random.default_rng([repeat, 2])
        x, y = decaying(rng, 200, 16), decaying(rng, 200, 16)
        plain.append(fid(gathered(x), gathered(y)).value)
        found.append(fid_infinity(named(x), named(y), seed=repeat))
    values = np.array([f.value for f in found])
    hits = [f.low is not None and f.high is not None and f.low <= 0 <= f.high for f in found]
    assert np.mean(plain) > 0.05
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(40) + 0.1 * np.mean(plain)
    assert np.mean(hits) >= 0.92


def test_fid_at_infinity_finds_a_difference() -> None:
    shift = np.full(16, 0.2)
    hits, values, widths = [], [], []
    for repeat in range(20):
        rng = np.random.default_rng([repeat, 3])
        # Sets of unequal size, and the true FID in closed form.
        x, y = named(decaying(rng, 300, 16)), named(1.2 * decaying(rng, 400, 16) + shift)
        found = fid_infinity(x, y, seed=repeat)
        truth = (shift**2).sum() + 0.04 * (1 / np.arange(1, 17)).sum()
        assert found.low is not None
        assert found.high is not None
        assert found.low > 0
        hits.append(found.low <= truth <= found.high)
        values.append(found.value)
        widths.append((found.high - found.low) / (2 * 1.96))
    assert np.mean(hits) >= 0.8
    assert 0.6 <= np.mean(widths) / np.std(values, ddof=1) <= 1.7
    assert found == fid_infinity(x, y, seed=19)
    assert found != fid_infinity(x, y, seed=20)
    moved = fid_infinity(named(x.arrays + 1e3), named(y.arrays + 1e3), seed=19)
    assert moved.value == pytest.approx(found.value, rel=FLOAT32)


def test_fid_at_infinity_is_where_whole_and_halves_point(rng: np.random.Generator) -> None:
    """FID is a line in 1/N, so twice that of the whole less that of all the halves is its intercept."""
    x, y = rng.normal(size=(400, 12)), rng.normal(size=(400, 12))
    whole, halves = fid(gathered(x), gathered(y)).value, []
    for _ in range(400):
        i, j = rng.permutation(400)[:200], rng.permutation(400)[:200]
        halves.append(fid(gathered(x[i]), gathered(y[j])).value)
    slope = np.mean(halves) - whole
    error = np.std(halves) / np.sqrt(400)
    assert error < 0.02 * slope
    assert fid_infinity(named(x), named(y), draws=100).value == pytest.approx(whole - slope, abs=0.06 * slope)  # type: ignore[arg-type]


def test_fid_at_infinity_refuses_what_is_degenerate(rng: np.random.Generator) -> None:
    x = rng.normal(size=(132, 64))
    assert fid_infinity(named(x), named(x + 1)).n == 132
    for a, b in ((x[:131], x), (x, x[:131]), (x[:40, :2], x[:60, :2])):
        with pytest.raises(UsageError, match="use KID"):
            fid_infinity(named(a), named(b))
    with pytest.raises(UsageError, match="5 or more sizes"):
        fid_infinity(named(x), named(x), sizes=4)
    with pytest.raises(UsageError, match="'vgg' and 'dino'"):
        fid_infinity(named(x), Features("dino", x))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "D", "spread"), [(200, 16, 0.5), (300, 64, 0.5), (140, 64, 0.0)])
def test_intervals_at_infinity_hold_zero(n: int, D: int, spread: float) -> None:
    scale = np.arange(1, D + 1) ** -spread
    hits = 0
    for repeat in range(150):
        rng = np.random.default_rng([repeat, 4])
        found = fid_infinity(*(named(rng.normal(size=(n, D)) * scale) for _ in range(2)), seed=repeat)  # type: ignore[arg-type, misc]
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0 <= found.high
    assert hits / 150 >= 0.92


# ---- kernel distance -------------------------------------------------------------------------------------------------


def reference_kid(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kid_by_its_definition(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(21, 5)), rng.normal(size=(16, 5)) + 0.5
    found = kid(named(x), named(y), subsets=30, size=6)
    assert found.estimate.value == pytest.approx(reference_kid(x, y), rel=FLOAT64)
    assert found.mean == pytest.approx(found.estimate.value, abs=4 * found.sd / np.sqrt(30))
    assert (found.subsets, found.size, found.estimate.note) == (30, 6, "")
    # The interval, by leaving out each picture in turn.
    left = [reference_kid(np.delete(x, i, 0), y) for i in range(21)]
    right = [reference_kid(x, np.delete(y, i, 0)) for i in range(16)]
    sd = np.sqrt(20 * np.var(left) + 15 * np.var(right))
    assert found.estimate.low == pytest.approx(found.estimate.value - 1.959964 * sd, rel=FLOAT32)
    assert found.estimate.high == pytest.approx(found.estimate.value + 1.959964 * sd, rel=FLOAT32)


def test_kid_s_subsets_are_keyed_and_honest(rng: np.random.Generator) -> None:
    x, y = named(rng.normal(size=(100, 5))), named(rng.normal(size=(80, 5)))
    found = kid(x, y, seed=1)
    assert found.size == 40
    assert "40 pictures and not 1000" in found.estimate.note
    assert found == kid(x, y, seed=1)
    assert found.mean != kid(x, y, seed=2).mean
    assert found.estimate == kid(x, y, seed=2).estimate
    assert kid(x, y, subsets=7, size=40).estimate.note == ""
    with pytest.raises(UsageError, match="10 or more"):
        kid(named(np.zeros((9, 5))), y)
    with pytest.raises(UsageError, match="'vgg' and 'dino'"):
        kid(x, Features("dino", y.arrays))


def kid_coverage(n: int, D: int, repeats: int) -> float:
    hits = 0
    for repeat in range(repeats):
        rng = np.random.default_rng([repeat, 5])
        found = kid(named(decaying(rng, n, D)), named(decaying(rng, n + 30, D)), subsets=2, size=5).estimate
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0 <= found.high
    return hits / repeats


def test_kid_s_interval_holds_zero() -> None:
    assert kid_coverage(80, 16, 150) >= 0.92


@pytest.mark.slow
def test_kid_s_interval_holds_zero_in_larger_sets() -> None:
    assert kid_coverage(300, 64, 300) >= 0.92


def test_kid_s_interval_holds_the_truth_where_sets_differ() -> None:
    """The kernel's mean over normal vectors with one feature has a closed form."""

    def mean_kernel(a: float, b: float) -> float:  # E (xy + 1)³ of x ~ N(a, 1), y ~ N(b, 1)
        first = [1, a, a * a + 1, a**3 + 3 * a]
        second = [1, b, b * b + 1, b**3 + 3 * b]
        return sum(c * u * v for c, u, v in zip((1, 3, 3, 1), first, second, strict=True))

    truth = mean_kernel(0, 0) + mean_kernel(0.7, 0.7) - 2 * mean_kernel(0, 0.7)
    hits = []
    for repeat in range(200):
        rng = np.random.default_rng([repeat, 6])
        x, y = rng.normal(size=(200, 1)), rng.normal(0.7, 1, (200, 1))
        found = kid(named(x), named(y), subsets=2, size=5).estimate
        assert found.low is not None
        assert found.high is not None
        hits.append(found.low <= truth <= found.high)
    assert 0.88 <= np.mean(hits) <= 1


# ---- nearest neighbours ----------------------------------------------------------------------------------------------


def reference_precision_recall(real: np.ndarray, fake: np.ndarray, k: int) -> list[float]:
    def radii(x: np.ndarray) -> np.ndarray:
        return np.sort(scipy.spatial.distance.cdist(x, x), 1)[:, k]

    d = scipy.spatial.distance.cdist(real, fake)
    held = d <= radii(real)[:, None]
    return [
        float(held.any(0).mean()),
        float((d <= radii(fake)).any(1).mean()),
        float(held.sum() / (k * len(fake))),
        float(held.any(1).mean()),
    ]


@pytest.mark.parametrize(("k", "D"), [(1, 2), (3, 8), (5, 30)])
def test_precision_and_recall_by_their_definitions(k: int, D: int, rng: np.random.Generator) -> None:
    real, fake = rng.normal(size=(150, D)) + 50, 0.8 * rng.normal(size=(120, D)) + 50.2
    found = precision_recall(named(real), named(fake), k)
    assert [f.value for f in found] == pytest.approx(reference_precision_recall(real, fake, k), abs=1e-12)
    assert [f.name for f in found] == ["precision", "recall", "density", "coverage"]
    assert found[0].n == 120
    assert "150 and 120" in found[0].note


def test_row_blocks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = named(rng.normal(size=(90, 4))), named(rng.normal(size=(80, 4)))

    def figures() -> list[object]:
        return [*precision_recall(x, y), nearest_neighbour_accuracy(x, y)]

    whole, distance = figures(), kid(x, y, subsets=2).estimate
    monkeypatch.setattr("sfumato.quality.features._CELLS", 700)
    assert figures() == whole
    assert kid(x, y, subsets=2).estimate.value == pytest.approx(distance.value, rel=FLOAT64, abs=1e-12)


def values(real: np.ndarray, fake: np.ndarray, k: int = 3) -> list[float]:
    return [f.value for f in precision_recall(named(real), named(fake), k)]


def test_precision_and_recall_of_toys(rng: np.random.Generator) -> None:
    x = rng.normal(size=(100, 3))
    precision, recall, density, coverage = values(x, x)
    assert (precision, recall, coverage) == (1, 1, 1)
    assert density == pytest.approx(4 / 3)  # each ball holds itself and its three neighbours
    assert values(x, x + 100) == [0, 0, 0, 0]
    near, far = x, x + 100
    both = np.concatenate([near, far])
    precision, recall, _, coverage = values(both, np.concatenate([near, near + 1e-6]))  # collapse to one of two modes
    assert (precision, recall, coverage) == (1, 0.5, 0.5)
    precision, recall, _, _ = values(near, both)  # half of the fakes are nothing real
    assert (precision, recall) == (0.5, 1)
    grid = np.arange(5.0)[:, None]
    assert values(grid, np.array([[0.5], [10.0]]), 1) == [0.5, 1, 1.0, 0.4]
    with pytest.raises(UsageError):
        precision_recall(named(x[:3]), named(x))
    with pytest.raises(UsageError):
        precision_recall(named(x), named(x), 0)


def test_neighbours_of_toys(rng: np.random.Generator) -> None:
    x = rng.normal(size=(50, 3))
    apart = nearest_neighbour_accuracy(named(x), named(x + 100))
    assert apart.value == 1
    assert apart.low is not None
    assert 0.9 < apart.low < 1
    assert nearest_neighbour_accuracy(named(x), named(x)).value == 0  # copies
    assert nearest_neighbour_accuracy(named(np.ones((20, 3))), named(np.ones((20, 3)))).value == pytest.approx(19 / 39)
    copies = np.repeat(rng.normal(size=(2, 37)) + 30, 11, 0)  # ten of its own and eleven others are equally near
    assert nearest_neighbour_accuracy(named(copies), named(copies)).value == pytest.approx(10 / 21)
    some = nearest_neighbour_accuracy(named(x), named(rng.normal(size=(80, 3))), seed=1)
    assert (some.n, some.name) == (50, "nearest_neighbour_accuracy")
    assert "80 pictures 50 were drawn" in some.note
    with pytest.raises(UsageError):
        nearest_neighbour_accuracy(named(x[:9]), named(x))


def test_neighbours_by_their_definition(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(60, 4)), rng.normal(0.6, 1, (60, 4))
    z = np.concatenate([x, y])
    d = scipy.spatial.distance.cdist(z, z)
    np.fill_diagonal(d, np.inf)
    wanted = np.mean((d.argmin(1) < 60) == (np.arange(120) < 60))
    assert nearest_neighbour_accuracy(named(x), named(y)).value == pytest.approx(wanted, abs=1e-12)


def test_the_interval_of_neighbours_holds_a_half() -> None:
    hits = []
    for repeat in range(200):
        rng = np.random.default_rng([repeat, 8])
        found = nearest_neighbour_accuracy(named(decaying(rng, 60, 8)), named(decaying(rng, 60, 8)))
        assert found.low is not None
        assert found.high is not None
        hits.append(found.low <= 0.5 <= found.high)
    assert 0.9 <= np.mean(hits) <= 0.99


# ---- inception score -------------------------------------------------------------------------------------------------


def test_inception_scores_in_closed_form(rng: np.random.Generator) -> None:
    assert inception_score(np.full((40, 7), 1 / 7), "classes").value == pytest.approx(1, abs=1e-12)
    one_hot = np.eye(5)[np.arange(200) % 5]
    found = inception_score(one_hot, "classes", splits=2)
    assert 4.9 < found.value <= 5  # 5 where every split has as many of each
    assert inception_score(np.eye(4)[np.zeros(40, int)], "classes").value == pytest.approx(1, abs=1e-12)
    assert "nearly meaningless" in found.note
    assert (found.name, found.n, found.backbone) == ("inception_score", 200, "classes")


def test_the_inception_score_by_its_definition(rng: np.random.Generator) -> None:
    p = scipy.special.softmax(2 * rng.normal(size=(63, 6)), axis=1)
    order = np.random.default_rng(4).permutation(63)
    scores = [
        np.exp(np.mean([scipy.stats.entropy(row, p[part].mean(0)) for row in p[part]]))
        for part in np.array_split(order, 4)
    ]
    found = inception_score(p, "classes", splits=4, seed=4)
    assert found.value == pytest.approx(np.mean(scores), rel=FLOAT64)
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(scores), scipy.stats.sem(scores))
    assert (found.low, found.high) == pytest.approx((low, high), rel=FLOAT64)


def test_what_has_no_inception_score() -> None:
    for wrong in (np.ones((40, 3)), np.full((40, 2), np.nan), np.tile([1.5, -0.5], (40, 1)), np.ones(40)):
        with pytest.raises(InputError):
            inception_score(wrong, "classes")
    with pytest.raises(UsageError):
        inception_score(np.full((19, 2), 0.5), "classes")
    with pytest.raises(UsageError):
        inception_score(np.full((19, 2), 0.5), "classes", splits=1)


def test_values_that_are_not_finite_are_errors() -> None:
    good, bad = named(np.zeros((30, 3))), named(np.full((30, 3), np.nan))
    for measure in (kid, precision_recall, nearest_neighbour_accuracy):
        with pytest.raises(InputError, match="not finite"):
            measure(good, bad)
        with pytest.raises(InputError, match="shape"):
            measure(good, named(np.zeros((30, 4))))
