"""Painting by matched features: scales, banks, tiles, strength. The networks are real, tiny and hardly trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato.checkpoint import load_model
from sfumato.errors import ModelError
from sfumato.export.onnx import export_model
from sfumato.image import Picture, resize
from sfumato.inference.feature_networks import MARGIN, STRIDE, FeatureNetworks
from sfumato.inference.matched_painting import MatchedPainting, plan_scales, refined_scale
from sfumato.inference.matching import CHANNELS, HYPERCOLUMN, Match, Readout, unit
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.places import (
    decode_places,
    encode_region,
    enter,
    enter_readout,
    even_colours,
    follow_luma,
    mean_cell_colours,
)
from sfumato.inference.session import WEIGHTS
from sfumato.inference.style_bank import make_bank
from sfumato.inference.style_pictures import MAX_SHORT_SIDE, StylePicture, built_in_pictures
from sfumato.networks.config import MatchingConfig
from sfumato.networks.hypercolumn import HYPERCOLUMN_LAYERS, hypercolumns
from sfumato.networks.model import MatchingModel
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from support import FLOAT32, SUM32, scene


def exported(out: Path, blocks: int) -> Path:
    torch.manual_seed(0)
    model = MatchingModel(MatchingConfig(widths=(12, 8, 8), blocks=blocks))
    vgg = VGG19(load_vgg19_weights(), HYPERCOLUMN_LAYERS)
    columns = [hypercolumns(vgg, torch.from_numpy(scene(96, 96, seed))) for seed in range(4)]
    flat = torch.cat(columns).permute(1, 0, 2, 3).flatten(1)  # (640, places)
    model.decoder.set_statistics(flat.mean(1), flat.std(1))
    export_model(model, out, "tiny-matching")
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("models") / "matching", blocks=4)


@pytest.fixture(scope="module")
def networks(folder: Path) -> FeatureNetworks:
    return FeatureNetworks(folder, threads=1)


@pytest.fixture(scope="module")
def style() -> tuple[StylePicture, ...]:
    return (StylePicture.of(scene(96, 120, seed=7)),)


def paint(
    networks: FeatureNetworks,
    photo: Picture,
    style: tuple[StylePicture, ...],
    base: int = 64,
    tile: int = 1024,
    strength: float = 1.0,
    seed: int = 0,
    whole: int = 10**6,
    best: bool = False,
) -> Picture:
    scales = plan_scales(photo.shape[2], photo.shape[3], base)
    banks = [make_bank(networks, style, scale.short, seed, 400) for scale in scales]
    output = np.full_like(photo, np.nan)
    refined = refined_scale(scales) if best else None
    painting = MatchedPainting(networks, ArrayReader(photo), banks, scales, strength, seed, whole, refined)
    for region, part in painting.tiles(tile):
        output[:, :, region.rows, region.columns] = part
    return output


def test_scales_end_at_the_photos_own_size() -> None:
    for height, width in ((16, 40), (100, 70), (512, 512), (700, 1100), (3000, 4000)):
        scales = plan_scales(height, width)
        assert (scales[-1].height, scales[-1].width) == (height, width)
        assert [scale.short for scale in scales] == sorted(scale.short for scale in scales)


def test_a_large_photo_is_painted_at_the_base_size_first() -> None:
    assert [scale.short for scale in plan_scales(3000, 4000)] == [128, 512, 1239, 3000]
    assert [scale.short for scale in plan_scales(512, 700)] == [128, 512, 512]
    assert [scale.short for scale in plan_scales(40, 50)] == [40, 40]  # coarser ones would have too few places
    assert [scale.guided for scale in plan_scales(600, 700)] == [False, False, True]


def test_graphs_agree_with_torch(folder: Path, networks: FeatureNetworks) -> None:
    picture, inner = scene(48, 64, seed=1), slice(MARGIN // STRIDE, -MARGIN // STRIDE)
    model, _ = load_model(folder / WEIGHTS)
    assert isinstance(model, MatchingModel)
    vgg = VGG19(load_vgg19_weights(), HYPERCOLUMN_LAYERS)
    with torch.no_grad():
        columns = hypercolumns(vgg, torch.from_numpy(picture))
        wanted = (columns * model.decoder.scale)[0, :, inner, inner].numpy()
        found = networks.encode(picture)
        features = np.ascontiguousarray(found[:HYPERCOLUMN])
        painted = model.decoder(torch.from_numpy(features)[None] / model.decoder.scale).numpy()
    assert found.shape == (CHANNELS, 4, 8)
    assert np.abs(features - wanted).max() < 0.01 * np.abs(wanted).max()  # weights are stored in 8 bits
    assert np.allclose(found[HYPERCOLUMN:], mean_cell_colours(picture)[:, inner, inner], atol=FLOAT32)
    assert np.abs(networks.decode(networks.enter(features)) - painted).max() < 1e-3


def test_a_region_has_the_hypercolumns_of_the_whole(networks: FeatureNetworks) -> None:
    source = ArrayReader(scene(118, 93, seed=2))
    whole = encode_region(networks, source, slice(0, 118), slice(0, 93))
    assert whole.shape == (CHANNELS, 30, 24)
    part = encode_region(networks, source, slice(32, 80), slice(40, 93))
    assert np.abs(part - whole[:, 8:20, 10:24]).max() < 1e-4


@pytest.mark.parametrize("size", [(160, 220), (117, 145)])
def test_tiles_equal_the_whole(
    networks: FeatureNetworks, style: tuple[StylePicture, ...], size: tuple[int, int]
) -> None:
    photo = scene(*size, seed=3)
    whole = paint(networks, photo, style)
    assert not np.isnan(whole).any()
    assert np.abs(paint(networks, photo, style, tile=64) - whole).max() < 1e-4


def test_a_picture_that_is_encoded_by_tile_is_tiled_without_seams(
    networks: FeatureNetworks, style: tuple[StylePicture, ...]
) -> None:
    photo = scene(136, 160, seed=3)
    one, other = (paint(networks, photo, style, base=48, tile=tile, whole=200) for tile in (64, 1024))
    assert np.abs(one - other).max() < 1e-4


def test_a_region_that_is_encoded_in_strips_is_the_whole(
    networks: FeatureNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ArrayReader(scene(118, 93, seed=2))
    region = slice(0, 118), slice(0, 93)
    whole = encode_region(networks, source, *region)
    encoded = []
    encode = FeatureNetworks.encode
    monkeypatch.setattr(FeatureNetworks, "encode", lambda self, x: encoded.append(x.shape) or encode(self, x))  # type: ignore[func-returns-value]
    strips = encode_region(networks, source, *region, at_once=93 * 40)
    assert len(encoded) == 3
    assert np.abs(strips - whole).max() < 1e-4


def test_released_networks_go_on(networks: FeatureNetworks) -> None:
    picture = scene(48, 64, seed=1)
    before = networks.encode(picture)
    networks.release()
    assert np.array_equal(networks.encode(picture), before)


def test_strength_0_is_the_photo(networks: FeatureNetworks, style: tuple[StylePicture, ...]) -> None:
    photo = scene(62, 81, seed=4)
    assert np.array_equal(paint(networks, photo, style, strength=0.0), photo)


def test_a_small_strength_is_near_to_the_photo(networks: FeatureNetworks, style: tuple[StylePicture, ...]) -> None:
    photo = scene(62, 81, seed=4)
    near, full = (np.abs(paint(networks, photo, style, strength=s) - photo).mean() for s in (0.02, 1.0))
    assert near < full / 5


def test_colours_of_cells_are_means(networks: FeatureNetworks) -> None:
    picture = scene(16, 24, seed=1)
    wanted = [[picture[0, :, i : i + 4, j : j + 4].mean((1, 2)) for j in range(0, 24, 4)] for i in range(0, 16, 4)]
    assert np.allclose(mean_cell_colours(picture), np.moveaxis(np.array(wanted), -1, 0), atol=FLOAT32)


def test_a_decoded_picture_has_the_colours_of_its_places(networks: FeatureNetworks) -> None:
    places = encode_region(networks, ArrayReader(scene(64, 80, seed=4)), slice(0, 64), slice(0, 80))
    places[HYPERCOLUMN:] = np.array([0.8, 0.3, 0.1])[:, None, None]  # whatever the hypercolumns say
    found = mean_cell_colours(decode_places(networks, enter(networks, places))).mean((1, 2))
    assert np.allclose(found, (0.8, 0.3, 0.1), atol=0.02)


def test_colours_follow_the_photos_luma() -> None:
    """In a plain region colours become one; where the photo has an edge, theirs stays."""
    rng = np.random.default_rng(0)
    photo = np.full((1, 3, 80, 80), 0.3, np.float32)
    photo[..., 40:] = 0.7
    colours = 0.2 * rng.standard_normal((3, 20, 20)).astype(np.float32)
    colours[:, :, 10:] += 1
    found = follow_luma(colours, photo)
    assert found[:, :, :8].std() < 0.35 * colours[:, :, :8].std()
    assert abs(float(found[:, :, 11].mean() - found[:, :, 8].mean()) - 1) < 0.15


def test_a_patch_in_a_plain_sky_fades_and_brushwork_stays() -> None:
    rng = np.random.default_rng(0)
    photo = np.empty((1, 3, 160, 240), np.float32)
    photo[:] = np.linspace(0.7, 0.8, 160, dtype=np.float32)[:, None]  # a sky
    photo[:, :, 100:] = rng.random((1, 3, 60, 240))  # and a meadow
    colours = np.empty((3, 40, 60), np.float32)
    colours[:] = np.linspace(0.3, 0.6, 40, dtype=np.float32)[:, None]
    patched = colours.copy()
    patched[0, 5:15, 20:34] += 0.3
    even = even_colours(np.repeat(np.repeat(patched, STRIDE, 1), STRIDE, 2)[None], photo)
    strokes = 0.1 * rng.standard_normal(colours.shape).astype(np.float32)
    found = patched + strokes
    found += even.correction(found, slice(0, 160), slice(0, 240))
    assert np.abs(patched - colours)[0, 8:12, 24:30].mean() > 0.29
    assert np.abs(found - strokes - colours)[0, 8:12, 24:30].mean() < 0.15
    assert np.abs((found - colours)[:, 3:15, 40:].std() - 0.1) < 0.03
    np.testing.assert_allclose(found[:, 30:], (patched + strokes)[:, 30:], atol=1e-3)  # no part of the sky
    part = patched[:, 8:24, 12:44] + strokes[:, 8:24, 12:44]
    part += even.correction(part, slice(32, 96), slice(48, 176))
    np.testing.assert_allclose(part[:, 5:-5, 5:-5], found[:, 13:19, 17:39], atol=SUM32)  # a tile as the whole


def test_no_halo_is_left_beside_an_object_on_white() -> None:
    photo = np.ones((1, 3, 160, 160), np.float32)
    photo[:, :, 64:96, 64:96] = np.indices((32, 32)).sum(0) // 2 % 2  # a chequered object on white paper
    colours = np.full((3, 40, 40), 0.8, np.float32)
    colours[:, 12:28, 12:28] = 0.4  # the halo, four cells wide
    colours[:, 16:24, 16:24] = 0.2
    even = even_colours(np.repeat(np.repeat(colours, STRIDE, 1), STRIDE, 2)[None], photo)
    found = colours + even.correction(colours, slice(0, 160), slice(0, 160))
    assert found[:, 13:15, 12:28].min() > 0.7
    assert np.abs(found[:, 17:23, 17:23] - 0.2).max() < 0.02


def test_a_readout_is_entered_as_its_places_are(networks: FeatureNetworks) -> None:
    rng = np.random.default_rng(0)
    vectors, directions = (rng.random((n, CHANNELS), np.float32) for n in (30, 5))
    match = Match(np.arange(30)[::-1], rng.random((30, 5), np.float32))
    places = Readout(vectors, directions).places(match)
    wanted = enter(networks, np.ascontiguousarray(places.T)[:, None])[:, 0].T
    assert np.abs(enter_readout(networks, Readout(vectors, directions)).places(match) - wanted).max() < 1e-3


def test_a_readout_without_directions_is_entered_too(networks: FeatureNetworks) -> None:
    vectors = np.random.default_rng(0).random((30, CHANNELS), np.float32)
    shown = enter_readout(networks, Readout(vectors, vectors[:0]))
    assert len(shown.directions) == 0
    wanted = enter_readout(networks, Readout(vectors, vectors[:5])).vectors
    assert np.array_equal(shown.places(Match(np.arange(30), None)), wanted)


def test_features_come_nearer_to_the_style_with_strength(
    networks: FeatureNetworks, style: tuple[StylePicture, ...]
) -> None:
    photo = scene(64, 80, seed=4)
    plain, full = (paint(networks, photo, style, strength=s) for s in (0.0, 1.0))
    distances = [np.abs(paint(networks, photo, style, strength=s) - plain).mean() for s in (0.0, 0.25, 0.5, 0.75)]
    assert distances == sorted(distances)
    assert distances[0] == 0
    assert distances[-1] < np.abs(full - plain).mean()


def test_equal_seeds_give_equal_pixels(networks: FeatureNetworks, style: tuple[StylePicture, ...]) -> None:
    photo = scene(96, 128, seed=6)
    first, again, other = (paint(networks, photo, style, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_thread_and_two_paint_alike(folder: Path, style: tuple[StylePicture, ...]) -> None:
    photo = scene(96, 128, seed=6)
    one, two = (paint(FeatureNetworks(folder, threads=n), photo, style) for n in (1, 2))
    assert np.abs(one - two).max() <= 1 / 255


def test_a_bank_holds_vectors_of_the_picture(networks: FeatureNetworks, style: tuple[StylePicture, ...]) -> None:
    bank = make_bank(networks, style, 96, 0, 10**6)
    assert len(bank.vectors) == (96 // STRIDE) * (120 // STRIDE)
    picture = ArrayReader(style[0].picture)
    own = encode_region(networks, picture, slice(0, 96), slice(0, 120)).reshape(CHANNELS, -1).T
    nearest = [np.abs(bank.vectors - vector).max(1).min() for vector in own[::97]]
    assert max(nearest) < 1e-4
    assert np.allclose(bank.mean, bank.vectors.mean(0))


def test_a_style_picture_is_not_enlarged(networks: FeatureNetworks, style: tuple[StylePicture, ...]) -> None:
    small, large = (make_bank(networks, style, short, 0, 500) for short in (96, 4000))
    assert np.array_equal(small.vectors, large.vectors)


def test_pictures_share_a_bank_by_weight(networks: FeatureNetworks) -> None:
    dark, light = (StylePicture.of(np.full((1, 3, 64, 64), level, np.float32)) for level in (0.1, 0.9))
    bank = make_bank(networks, (dark.weighted(3), light), 64, 0, 200)
    assert (bank.vectors[:, HYPERCOLUMN] < 0.5).sum() == 150


def test_refinement_comes_nearer_to_the_bank(networks: FeatureNetworks, style: tuple[StylePicture, ...]) -> None:
    photo = scene(62, 83, seed=4)
    bank = unit(make_bank(networks, style, 62, 0, 400).vectors[:, :HYPERCOLUMN])

    def distance(picture: Picture) -> float:
        places = encode_region(networks, ArrayReader(picture), slice(0, 62), slice(0, 83)).reshape(CHANNELS, -1).T
        return float(1 - (unit(places[:, :HYPERCOLUMN]) @ bank.T).max(1).mean())

    standard, best = (paint(networks, photo, style, best=best) for best in (False, True))
    assert distance(best) < 0.9 * distance(standard)
    assert np.array_equal(best, paint(networks, photo, style, best=True, tile=32))


def test_a_refined_picture_is_painted_on_at_its_own_size(
    networks: FeatureNetworks, style: tuple[StylePicture, ...]
) -> None:
    photo = scene(130, 150, seed=4)
    standard, best = (paint(networks, photo, style, best=best) for best in (False, True))
    assert best.shape == photo.shape
    assert 0.001 < np.abs(best - standard).mean() < 0.2


def test_a_very_long_picture_is_not_refined(networks: FeatureNetworks, style: tuple[StylePicture, ...]) -> None:
    photo = scene(32, 200, seed=4)
    standard, best = (paint(networks, photo, style, whole=300, best=best) for best in (False, True))
    assert np.array_equal(standard, best)


def test_a_plain_photo_stays_plain(tmp_path: Path, style: tuple[StylePicture, ...]) -> None:
    networks = FeatureNetworks(exported(tmp_path / "model", blocks=1), threads=1)  # untrained, so borders show
    painted = paint(networks, np.full((1, 3, 64, 96), 0.6, np.float32), style)
    assert painted[:, :, 16:-16, 16:-16].std((2, 3)).max() < 0.02


def test_white_takes_what_is_light_in_the_painting_and_black_what_is_dark(
    networks: FeatureNetworks, style: tuple[StylePicture, ...]
) -> None:
    found = [paint(networks, np.full((1, 3, 64, 64), level, np.float32), style).mean() for level in (0, 0.5, 1)]
    assert found == sorted(found)
    painting = style[0].picture.mean(1)
    assert found[0] < np.quantile(painting, 0.35)
    assert found[2] > np.quantile(painting, 0.65)


def test_a_painting_in_black_and_white_gives_no_tint(networks: FeatureNetworks) -> None:
    ink = StylePicture.of(np.repeat(scene(96, 128, seed=3).mean(1, keepdims=True), 3, axis=1))
    photo = scene(64, 80, seed=4)
    painted, half = (paint(networks, photo, (ink,), strength=s) for s in (1.0, 0.5))
    for each in (painted, paint(networks, photo, (ink,), best=True)):
        assert np.ptp(each, axis=1).max() < 1e-6
    assert np.ptp(half, axis=1).mean() > 0.02  # the photo's colours, as far as it shows through


def test_a_large_style_picture_is_kept_smaller() -> None:
    kept = StylePicture.of(np.zeros((1, 3, MAX_SHORT_SIDE + 232, MAX_SHORT_SIDE + 400), np.float32))
    assert min(kept.picture.shape[2:]) == MAX_SHORT_SIDE


def test_a_recoloured_picture_has_the_photos_colours_and_its_own_shapes() -> None:
    painting, photo = StylePicture.of(scene(96, 96, seed=1)), resize(scene(64, 64, seed=9) * 0.5, 64, 64)
    changed = painting.recoloured(photo).picture
    for axis in range(3):
        assert abs(changed[0, axis].mean() - photo[0, axis].mean()) < 0.03
        assert abs(changed[0, axis].std() - photo[0, axis].std()) < 0.03
    flat = [each.picture.mean(1).ravel() for each in (painting, painting.recoloured(photo))]
    assert np.corrcoef(*flat)[0, 1] > 0.9


def test_another_kind_of_model_is_refused(bundle: Path) -> None:
    with pytest.raises(ModelError, match="is not a model of the kind matching"):
        FeatureNetworks(bundle)


def test_a_changed_graph_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    damaged = bytearray((tmp_path / "decoder.onnx").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "decoder.onnx").write_bytes(damaged)
    networks = FeatureNetworks(tmp_path)
    with pytest.raises(ModelError, match="is damaged"):
        networks.decode(np.zeros((12, 4, 4), np.float32))


def test_a_changed_picture_of_a_built_in_style_is_refused(tmp_path: Path) -> None:
    shipped = built_in_pictures("dance")[0]
    assert isinstance(shipped.source, Path)
    copy = tmp_path / "dance.webp"
    copy.write_bytes(shipped.source.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="its hash is not the stored one"):
        _ = StylePicture(shipped.sha256, 1.0, copy).picture
    assert built_in_pictures("no-such-style") == ()
