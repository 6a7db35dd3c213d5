"""Matching of hypercolumns: the linear map, the balance, the search, and what smoothing keeps together."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.inference.matching import (
    CHANNELS,
    DIRECTIONS,
    Array,
    FeatureBank,
    Matcher,
    Weights,
    balance,
    covariance,
    transport,
    unit,
)
from support import NETWORK32, SUM32

PLAIN = Weights(photo=1.0, layers=(1.0, 1.0, 1.0, 1.0, 1.0), balance=0.0)


def rows(count: int, seed: int, rank: int = 24) -> Array:
    """Vectors in a few directions, as the hypercolumns of a picture are."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((rank, CHANNELS)) * np.linspace(2, 0.2, rank)[:, None]
    return (rng.standard_normal((count, rank)) @ mixing).astype(np.float32)


def matcher(bank: Array, photo: Array, weights: Weights = PLAIN, painted: Array | None = None) -> Matcher:
    return Matcher(FeatureBank.of(bank), photo, painted, weights, np.random.default_rng(0))


def spread(rank: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((rank, rank))
    return (root @ root.T / rank + 0.2 * np.eye(rank)).astype(np.float32)


def test_the_map_takes_one_covariance_to_the_other() -> None:
    source, target = spread(6, 0), spread(6, 1)
    change = transport(source, target)
    assert np.allclose(change @ source @ change, target, atol=1e-3)
    assert np.allclose(change, change.T, atol=SUM32)


def test_the_map_between_equal_covariances_changes_nothing() -> None:
    assert np.allclose(transport(spread(6, 0), spread(6, 0)), np.eye(6), atol=1e-3)


def test_the_map_of_axes_is_the_ratio_of_deviations() -> None:
    source, target = np.diag([4.0, 1.0]).astype(np.float32), np.diag([1.0, 9.0]).astype(np.float32)
    assert np.allclose(transport(source, target), np.diag([0.5, 3.0]), atol=NETWORK32)


def test_noise_of_a_plain_photo_is_not_stretched_to_a_painting() -> None:
    change = transport(1e-10 * np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32))
    assert np.abs(change).max() < 40  # without the floor it would be 100,000


def test_a_photo_that_is_the_painting_is_matched_with_itself() -> None:
    bank = rows(300, 0)
    order = np.random.default_rng(1).permutation(300)
    assert np.array_equal(matcher(bank, bank[order]).search(bank[order], None).chosen, order)


def test_contrast_and_brightness_of_the_photo_do_not_matter() -> None:
    bank = rows(300, 0)
    faint = 0.1 * bank + np.float32(3)
    assert np.array_equal(matcher(bank, faint).search(faint, None).chosen, np.arange(300))


def test_balance_uses_every_vector_equally_often() -> None:
    rng = np.random.default_rng(0)
    places, bank = rng.standard_normal((256, 8)), rng.standard_normal((32, 8))
    scores = (unit(places.astype(np.float32)) @ unit(bank.astype(np.float32)).T) / np.float32(0.1)
    logits = scores + balance(scores, rounds=200)
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    assert np.allclose(share.sum(0), 256 / 32, rtol=0.01)


def test_a_larger_balance_spreads_the_matches() -> None:
    bank, photo = rows(64, 0), rows(2000, 1) ** 3  # long tails: some vectors of the bank are near to nothing
    used = []
    for share in (0.0, 0.5, 1.0):
        weights = Weights(photo=1.0, layers=PLAIN.layers, balance=share)
        counts = np.bincount(matcher(bank, photo, weights).search(photo, None).chosen, minlength=64)
        used.append(counts.max())
    assert used[0] > used[1] > used[2]


def test_smoothing_gives_a_noisy_region_one_match() -> None:
    two = rows(2, 5)
    photo = np.repeat(two, 100, 0) + 0.15 * rows(200, 6)
    bank = rows(400, 7)
    plain = matcher(bank, photo).search(photo, None).chosen
    weights = Weights(photo=1.0, layers=PLAIN.layers, balance=0.0, smooth=True)
    smooth = matcher(bank, photo, weights).search(photo, None).chosen
    regions = [len(np.unique(found[:100])) for found in (plain, smooth)]
    assert regions[1] < regions[0] / 2
    assert not set(smooth[:100]) & set(smooth[100:])  # the two regions stay apart


def test_the_picture_painted_so_far_decides_where_the_photo_has_no_share() -> None:
    bank, photo = rows(300, 0), rows(300, 9)
    painted = bank[::-1].copy()
    weights = Weights(photo=0.0, layers=PLAIN.layers, balance=0.0)
    assert np.array_equal(matcher(bank, photo, weights, painted).search(photo, painted).chosen, np.arange(300)[::-1])


def test_a_layer_of_weight_0_has_no_say() -> None:
    bank = rows(200, 0)
    photo = bank.copy()
    photo[:, -256:] = rows(200, 8)[:, -256:]  # relu3_1 says something else
    weights = Weights(photo=1.0, layers=(1.0, 1.0, 1.0, 1.0, 0.0), balance=0.0)
    assert np.array_equal(matcher(bank, photo, weights).search(photo, None).chosen, np.arange(200))


@pytest.mark.parametrize("count", [1, 2, 3000])
def test_any_number_of_places_is_matched(count: int) -> None:
    bank, photo = rows(50, 0), rows(count, 1)
    found = matcher(bank, photo, Weights()).search(photo, None).chosen
    assert found.shape == (count,)
    assert found.min() >= 0
    assert found.max() < 50


def test_a_constant_photo_has_one_match() -> None:
    photo = np.full((40, CHANNELS), 0.7, np.float32)
    assert len(np.unique(matcher(rows(50, 0), photo, Weights()).search(photo, None).chosen)) == 1


def readout(match: Matcher, photo: Array) -> Array:
    return match.readout.places(match.search(photo, None))


def test_directions_are_found_where_a_residual_is_added_alone() -> None:
    bank = rows(50, 0)
    for residual, count in ((0.0, 0), (0.5, DIRECTIONS)):
        weights = Weights(photo=1.0, layers=PLAIN.layers, residual=residual)
        assert len(matcher(bank, bank, weights).readout.directions) == count


def test_the_residual_brings_places_nearer_to_the_aligned_photo() -> None:
    bank, photo = rows(300, 0), rows(2000, 1)
    wanted = (photo - photo.mean(0)) @ transport(covariance(photo - photo.mean(0)), covariance(bank - bank.mean(0)))
    distances = []
    for residual in (0.0, 0.4, 0.8):
        weights = Weights(photo=1.0, layers=PLAIN.layers, balance=0.0, residual=residual)
        distances.append(np.abs(readout(matcher(bank, photo, weights), photo) - bank.mean(0) - wanted).mean())
    assert distances[1] < 0.9 * distances[0]
    assert distances[2] < 0.9 * distances[1]


def test_structure_survives_in_directions_that_the_painting_lacks() -> None:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((CHANNELS, 24)))[0].T.astype(np.float32)
    soft = np.where(np.arange(24) < 12, 1.0, 0.1).astype(np.float32)  # the painting's deviations: the photo's are 1
    bank, photo = (rng.standard_normal((n, 24)).astype(np.float32) for n in (300, 2000))
    deviations = []
    for share in (0.0, 0.06):
        weights = Weights(photo=1.0, layers=PLAIN.layers, balance=0.0, residual=1.0, structure=share)
        found = readout(matcher(bank * soft @ directions, photo @ directions, weights), photo @ directions)  # type: ignore[arg-type]
        deviations.append((found @ directions.T)[:, 12:].std())
    assert 1.3 * deviations[0] < deviations[1] < 0.5


def test_what_the_bank_holds_has_no_residual() -> None:
    bank = rows(300, 0)
    weights = Weights(photo=1.0, layers=PLAIN.layers, balance=0.0, residual=0.8)
    assert np.allclose(readout(matcher(bank, bank, weights), bank), bank, atol=1e-3)


def test_statistics_come_nearer_to_the_banks() -> None:
    bank, photo = rows(64, 0), rows(2000, 1) ** 3  # few vectors are near to such a photo
    gaps = []
    for share in (0.0, 0.5):
        weights = Weights(photo=1.0, layers=PLAIN.layers, balance=0.0, statistics=share)
        found = readout(matcher(bank, photo, weights), photo)
        gaps.append((np.abs(found.mean(0) - bank.mean(0)).mean(), np.abs(found.std(0) - bank.std(0)).mean()))
    assert gaps[1][0] < 0.6 * gaps[0][0]
    assert gaps[1][1] < 0.7 * gaps[0][1]


def test_a_constant_photo_keeps_its_one_match_as_it_is() -> None:
    bank, photo = rows(50, 0), np.full((40, CHANNELS), 0.7, np.float32)
    match = matcher(bank, photo, Weights(statistics=0.5))
    assert np.allclose(readout(match, photo), bank[match.search(photo, None).chosen], atol=NETWORK32)
