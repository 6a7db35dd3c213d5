"""The mathematics of a person's style: against closed forms and finite differences, and on odd input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import Style
from sfumato.assets import style_names
from sfumato.errors import ModelError, UsageError
from sfumato.personal.centres import centres
from sfumato.personal.mixture import FREEDOM, Mixture, fit_mixture
from sfumato.personal.preference_model import (
    LAPSE,
    PreferenceModel,
    chance,
    gain,
    laplace,
    next_question,
    suggestions,
)
from sfumato.personal.space import PARTS, StyleSpace, features
from sfumato.style_code import COLOUR_STATS_SIZE, StyleCode
from support import FLOAT32, FLOAT64, NETWORK32, SUM32


@pytest.fixture(scope="module")
def space() -> Any:
    return StyleSpace.load()


@pytest.fixture(scope="module")
def built_in() -> Any:
    return [Style.named(name).code for name in style_names()]


def near(code: Any, rng: Any, amount: float = 0.03) -> StyleCode:
    """A style like another: its look and vector shaken a little."""
    vector = code.vector + rng.normal(0, amount, len(code)).astype(np.float32) * np.abs(code.vector).mean()
    return StyleCode(
        vector, code.model, code.channel_stats + rng.normal(0, amount, len(code.channel_stats)).astype(np.float32)
    )


# ---- the space -------------------------------------------------------------------------------------------------------


LOOK = sum(PARTS.values()) - COLOUR_STATS_SIZE


def drawn(rng: Any, artists: int = 40, works: int = 6, parts: int = 4) -> Any:
    """Codes whose features are a known place of `parts` numbers, seen through a known map, and the map."""
    size = sum(PARTS.values()) + 3
    mapped = rng.normal(0, 1, (parts, size)) * 0.2
    between = np.array([9.0, 4.0, 1.0, 0.0])
    hands = np.repeat(np.arange(artists), works)
    places = rng.normal(0, 1, (artists, parts))[hands] * np.sqrt(between) + rng.normal(0, 1, (len(hands), parts))
    x = (places @ mapped).astype(np.float32)
    codes = [
        StyleCode(np.append(f[LOOK + COLOUR_STATS_SIZE :], f[LOOK : LOOK + COLOUR_STATS_SIZE]), "test", f[:LOOK])
        for f in x
    ]
    return codes, [str(hand) for hand in hands], places, between


def test_the_space_finds_what_artists_differ_in(rng: np.random.Generator) -> None:
    codes, names, places, between = drawn(rng)
    space = StyleSpace.of(codes, names, directions=3)
    found = space.places(codes)
    # With 40 artists a variance of 9 is found to a third or so.
    np.testing.assert_allclose(space.between, between[:3], rtol=0.6, atol=0.6)
    assert abs(np.corrcoef(found[:, 0], places[:, 0])[0, 1]) > 0.9
    rest = found - np.repeat(found.reshape(40, 6, -1).mean(1), 6, 0)
    np.testing.assert_allclose((rest**2).sum(0) / (240 - 40), 1, atol=0.15)  # one deviation is that within an artist


def test_a_space_is_the_same_after_saving(rng: np.random.Generator, tmp_path: Path) -> None:
    codes, names, *_ = drawn(rng)
    space = StyleSpace.of(codes, names)
    digest = space.save(tmp_path)
    (tmp_path / "card.json").write_text(f'{{"style_space": "{digest}"}}')
    loaded = StyleSpace.load(tmp_path)
    for name, part in vars(space).items():
        np.testing.assert_array_equal(getattr(loaded, name), part, name)


def test_coordinates_are_principal_components(rng: np.random.Generator, space: Any, built_in: Any) -> None:
    codes, names, *_ = drawn(rng)
    own = StyleSpace.of(codes, names)
    found = own.coordinates(own.features(codes))
    turned = np.corrcoef(found.T) - np.eye(found.shape[1])
    assert np.abs(turned[:4, :4]).max() < 0.35  # but for the mean, which is the artists'
    # Of the shipped space too: the first axes are the longest, and none is as long as where they were mixed up.
    spread = space.coordinates(space.features(built_in)).std(0)
    assert spread.max() < 4
    assert spread[:3].min() > spread[5:].max()


def test_a_damaged_space_is_not_loaded(space: Any, tmp_path: Path) -> None:
    digest = space.save(tmp_path)
    (tmp_path / "card.json").write_text(f'{{"style_space": "{digest}"}}')
    file = tmp_path / "style_space.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="is damaged"):
        StyleSpace.load(tmp_path)
    os.truncate(file, 60 << 30)
    with pytest.raises(ModelError, match=r"more than 67\.1 MB"):
        StyleSpace.load(tmp_path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ModelError, match="not a regular file"):
        StyleSpace.load(tmp_path)
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(ModelError, match="has no style space"):
        StyleSpace.load(tmp_path)


def test_the_shipped_space_is_small_and_of_the_card(space: Any) -> None:
    from sfumato.assets import weights_dir

    assert (weights_dir() / "style_space.safetensors").stat().st_size < 300_000
    assert len(space) == 20
    assert (np.diff(space.between) <= 0).all()


@pytest.mark.parametrize("part", [slice(None, -COLOUR_STATS_SIZE), slice(-COLOUR_STATS_SIZE, None)])
def test_both_parts_of_a_code_have_a_say(space: Any, built_in: Any, part: Any) -> None:
    code = built_in[0]
    vector = code.vector.copy()
    vector[part] += 0.5
    moved = StyleCode(vector, code.model, code.channel_stats)
    assert np.linalg.norm(space.place(moved) - space.place(code)) > 0.1
    changed = space.differences(*space.features([moved, code])) > 0
    assert changed.any()
    assert not changed.all()


def test_a_style_of_a_code_of_another_size_is_refused_in_a_sentence(space: Any, built_in: Any) -> None:
    code = built_in[0]
    with pytest.raises(ModelError, match="make the style with the model that ships"):
        space.place(StyleCode(code.vector[1:], "other", code.channel_stats))


def test_a_style_without_channel_stats_is_refused_in_a_sentence(space: Any, built_in: Any) -> None:
    bare = StyleCode(built_in[0].vector, built_in[0].model)
    with pytest.raises(ModelError, match="make it again from its picture"):
        space.place(bare)
    with pytest.raises(ModelError, match="the style space needs 896"):
        space.place(StyleCode(bare.vector, bare.model, np.zeros(10, np.float32)))


def test_too_few_artists_make_no_space(built_in: Any) -> None:
    with pytest.raises(UsageError, match="3 artists or more"):
        StyleSpace.of(built_in[:4], ["a", "a", "b", "c"])


def test_differences_are_distances_of_parts(space: Any, built_in: Any) -> None:
    a, b = space.features(built_in[:2])
    found = space.differences(a, b)
    assert found.shape == (len(PARTS) + 1,)
    assert found[0] == pytest.approx(np.linalg.norm(a[:128] - b[:128]) / space.scales[0])
    assert found[-1] == pytest.approx(
        np.linalg.norm(a[LOOK + COLOUR_STATS_SIZE :] - b[LOOK + COLOUR_STATS_SIZE :]) / space.scales[-1]
    )


# ---- centres ---------------------------------------------------------------------------------------------------------


def test_a_mixture_of_one_part_is_the_posterior_mean(rng: np.random.Generator) -> None:
    # With equal trust and no outlier, the t distribution's pulls are nearly equal, and the mean is that of a normal
    # with a normal prior, each place counting as much as it pulls.
    x, between = rng.normal([2, 0, -1], 1, (50, 3)), np.array([4.0, 1.0, 0.5])
    mixture = fit_mixture(x, np.ones(50), between, 1)
    _, pull = mixture.shares_of(x)
    expected = (pull * x).sum(0) / (1 / between + pull.sum())
    np.testing.assert_allclose(mixture.means[0], expected, atol=1e-3)


def test_density_is_that_of_students_t(rng: np.random.Generator) -> None:
    from scipy.stats import multivariate_t

    x, mean, variances = rng.normal(0, 2, (7, 3)), np.array([[0.5, -1.0, 0.0]]), np.array([[1.0, 2.0, 0.5]])
    found = Mixture(mean, variances, np.ones(1)).log_density(x)
    expected = multivariate_t(mean[0], np.diag(variances[0]), df=FREEDOM).logpdf(x)
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=FLOAT64)  # but for the constant


def test_two_personal_styles_are_two_centres_and_one_is_one(built_in: Any, rng: np.random.Generator) -> None:
    one, two = (built_in[style_names().index(name)] for name in ("great-wave", "rembrandt"))
    found = centres([near(one, rng) for _ in range(9)] + [near(two, rng) for _ in range(6)])
    assert [centre.members for centre in found] == [tuple(range(9)), tuple(range(9, 15))]
    assert [centre.weight for centre in found] == [0.6, 0.4]
    assert len(centres([near(one, rng) for _ in range(15)])) == 1


def test_one_odd_picture_pulls_less_than_its_share(built_in: Any, rng: np.random.Generator, space: Any) -> None:
    one, odd = (built_in[style_names().index(name)] for name in ("monet", "red-blue-yellow"))
    likes = [near(one, rng) for _ in range(8)]
    (centre,) = centres([*likes, odd])
    pure, plain, robust = (
        space.features([code])[0] for code in (StyleCode.mean(likes), StyleCode.mean([*likes, odd]), centre.code)
    )
    assert np.linalg.norm(robust - pure) < 0.7 * np.linalg.norm(plain - pure)


def test_likes_beside_dislikes_weigh_less(built_in: Any, rng: np.random.Generator, space: Any) -> None:
    one, other = built_in[0], built_in[20]
    likes = [near(one, rng) for _ in range(2)] + [near(other, rng, 0.01)]
    free, wary = (centres(likes, disliked)[0].code for disliked in ((), [other]))
    away = space.features([other])[0]
    assert np.linalg.norm(space.features([wary])[0] - away) > np.linalg.norm(space.features([free])[0] - away)


def test_one_picture_is_its_own_centre(built_in: Any) -> None:
    (centre,) = centres(built_in[:1])
    assert centre.code == built_in[0]
    assert (centre.weight, centre.members) == (1.0, (0,))


@pytest.mark.parametrize("count", [2, 7, 40])
def test_equal_pictures_are_one_centre(built_in: Any, count: int) -> None:
    (centre,) = centres([built_in[3]] * count)
    np.testing.assert_allclose(centre.code.vector, built_in[3].vector, rtol=SUM32, atol=FLOAT32)
    assert centre.members == tuple(range(count))


def test_all_likes_disliked_as_well_still_have_a_centre(built_in: Any) -> None:
    found = centres(built_in[:8], built_in[:8])
    assert sum(centre.weight for centre in found) == pytest.approx(1)


def test_nothing_liked_is_told(built_in: Any) -> None:
    with pytest.raises(UsageError, match="no liked picture"):
        centres([], built_in[:3])


def test_centres_are_the_same_each_time(built_in: Any) -> None:
    assert centres(built_in) == centres(built_in)


# ---- preferences -----------------------------------------------------------------------------------------------------


def test_the_mode_has_no_slope_and_the_covariance_is_of_the_information(rng: np.random.Generator) -> None:
    rows, weights, precision = rng.normal(0, 1, (30, 4)), rng.uniform(0.5, 2, 30), np.array([1.0, 2.0, 0.5, 1.0])
    prior = np.array([0.5, 0.0, 0.0, -0.5])
    mode, covariance = laplace(rows, weights, prior, precision)

    def log_posterior(w: Any) -> Any:
        p = LAPSE / 2 + (1 - LAPSE) / (1 + np.exp(-rows @ w))
        return weights @ np.log(p) - 0.5 * precision @ (w - prior) ** 2

    steps = 1e-5 * np.eye(4)
    slope = [(log_posterior(mode + e) - log_posterior(mode - e)) / 2e-5 for e in steps]
    np.testing.assert_allclose(slope, 0, atol=FLOAT32)
    # Expected information of a chance p: p'² / (p (1 - p)), with p' by finite differences.
    u = rows @ mode
    p, ahead, behind = (LAPSE / 2 + (1 - LAPSE) / (1 + np.exp(-u - e)) for e in (0, 1e-6, -1e-6))
    fisher = ((ahead - behind) / 2e-6) ** 2 / (p * (1 - p))
    np.testing.assert_allclose(
        np.linalg.inv(covariance), (rows.T * (weights * fisher)) @ rows + np.diag(precision), rtol=NETWORK32
    )


def test_without_answers_the_posterior_is_the_prior() -> None:
    mean, covariance = laplace(np.zeros((0, 3)), np.zeros(0), np.array([1.0, 2, 3]), np.array([1.0, 4, 9]))
    np.testing.assert_allclose(mean, [1, 2, 3])
    np.testing.assert_allclose(covariance, np.diag([1, 1 / 4, 1 / 9]), atol=1e-12)


def test_chance_and_gain_are_integrals(rng: np.random.Generator) -> None:
    mean, variance = rng.normal(0, 1, 4), rng.uniform(0.1, 3, 4)
    u = mean[:, None] + np.sqrt(variance)[:, None] * rng.normal(0, 1, (4, 400_000))
    logistic = 1 / (1 + np.exp(-u))
    np.testing.assert_allclose(chance(mean, variance), logistic.mean(1), atol=3e-3)
    p = LAPSE / 2 + (1 - LAPSE) * logistic

    def entropy(q: Any) -> Any:
        return -q * np.log(q) - (1 - q) * np.log(1 - q)

    np.testing.assert_allclose(gain(mean, variance), entropy(p.mean(1)) - entropy(p).mean(1), atol=2e-3)
    np.testing.assert_allclose(gain(mean, np.zeros(4)), 0, atol=1e-12)  # nothing is unknown, nothing is told


def test_answers_are_learnt_and_probabilities_fit_together(space: Any, built_in: Any) -> None:
    light = [
        float(code.vector[-COLOUR_STATS_SIZE:][:3].mean()) for code in built_in
    ]  # a person who likes light pictures
    order = np.argsort(light)
    answers = [(built_in[order[-1 - i]], built_in[order[i]]) for i in range(12)]
    model = PreferenceModel.fit(space, answers=answers)
    a, b = built_in[order[-1]], built_in[order[0]]
    assert model.probability(a, b) > 0.8
    assert model.probability(a, b) + model.probability(b, a) == pytest.approx(1)
    assert model.probability(a, a) == 0.5
    assert np.corrcoef(model.scores(built_in)[0], light)[0, 1] > 0.3
    assert PreferenceModel.fit(space).score(a)[0] == 0
    assert PreferenceModel.fit(space).score(a)[1] > model.score(a)[1] > 0


def test_contradictory_answers_say_little(space: Any, built_in: Any) -> None:
    a, b = built_in[:2]
    model = PreferenceModel.fit(space, answers=[(a, b), (b, a)] * 5)
    assert model.probability(a, b) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("liked", [0, 1, 5])
@pytest.mark.parametrize("disliked", [0, 1, 5])
def test_any_number_of_likes_and_dislikes_gives_finite_scores(
    space: Any, built_in: Any, liked: int, disliked: int
) -> None:
    model = PreferenceModel.fit(space, built_in[:liked], built_in[10 : 10 + disliked])
    mean, deviation = model.scores(built_in)
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()
    if liked == 1:
        assert model.rank(built_in)[0] == 0


def test_likes_that_are_disliked_too_give_finite_scores(space: Any, built_in: Any) -> None:
    model = PreferenceModel.fit(space, built_in[:4], built_in[:4])
    assert np.isfinite(model.scores(built_in)).all()


def test_a_model_is_the_same_after_its_tensors(space: Any, built_in: Any) -> None:
    model = PreferenceModel.fit(space, built_in[:6], built_in[10:13], [(built_in[1], built_in[20])])
    again = PreferenceModel.of(model.tensors(), space)
    np.testing.assert_allclose(again.scores(built_in), model.scores(built_in), rtol=NETWORK32, atol=NETWORK32)
    with pytest.raises(ModelError, match="learn it again"):
        PreferenceModel.of({"mean": np.zeros(3, np.float32)}, space)
    with pytest.raises(ModelError, match="not numbers"):
        PreferenceModel.of({**model.tensors(), "mean": np.full(len(model.mean), np.nan, np.float32)}, space)


def test_known_centres_change_nothing(space: Any, built_in: Any) -> None:
    likes, dislikes = built_in[:6], built_in[10:13]
    model = PreferenceModel.fit(space, likes, dislikes)
    again = PreferenceModel.fit(space, likes, dislikes, found=centres(likes, dislikes, space))
    np.testing.assert_array_equal(model.mean, again.mean)


def test_questions_tell_most_are_not_repeated_and_end(space: Any, built_in: Any) -> None:
    model = PreferenceModel.fit(space, built_in[:5])
    first = next_question(model, built_in, [])
    rows = model.aspects(built_in)
    i, j = np.triu_indices(len(rows), 1)
    differences = rows[i] - rows[j]
    gains = gain(differences @ model.mean, np.einsum("ij,jk,ik->i", differences, model.covariance, differences))
    assert first == (i[gains.argmax()], j[gains.argmax()])
    assert next_question(model, built_in, [first[::-1]]) != first
    assert next_question(model, [built_in[0]] * 3, []) is None  # between equal styles nothing is to be asked
    assert next_question(model, built_in[:1], []) is None
    every = list(zip(i.tolist(), j.tolist(), strict=True))
    assert next_question(model, built_in, every) is None


def test_suggestions_are_built_in_styles_by_their_score(space: Any) -> None:
    model = PreferenceModel.fit(space, [Style.named("monet").code, Style.named("sisley").code])
    found = suggestions(model, 4)
    assert {"monet", "sisley"} <= {name for name, _, _ in found}
    assert [mean for _, mean, _ in found] == sorted((mean for _, mean, _ in found), reverse=True)


def test_features_are_channel_stats_and_both_parts_of_the_code(built_in: Any) -> None:
    code, found = built_in[0], features(built_in[0])
    assert len(found) == LOOK + len(code)
    np.testing.assert_array_equal(found[LOOK:], np.roll(code.vector.astype(np.float64), COLOUR_STATS_SIZE))
