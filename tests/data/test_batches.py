from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.data.batches import STYLE_THUMBNAIL, BatchSource, BatchSpec, PaintingSource, sample_boxes
from sfumato.data.folders import FolderReport, TrainingPicture
from sfumato.parallel import Rows
from support import SUM32

SPEC = BatchSpec(batch=3, crop=24, thumbnails=(24, 32), zoom_crops=2, magnification=4.0, crops_per_photo=2)
CPU = torch.device("cpu")


def report(pixels: Any, groups: Any = None) -> FolderReport:
    groups = groups or [""] * len(pixels)
    pictures = [
        TrainingPicture(Path(f"{i}.png"), g, f"{i:064x}", p)
        for i, (p, g) in enumerate(zip(pixels, groups, strict=True))
    ]
    return FolderReport(Path("pictures"), pictures)


def noise(count: int, seed: int = 0, height: int = 40, width: int = 56) -> Any:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (3, height, width), dtype=np.uint8) for _ in range(count)]


def ramp(side: int) -> Any:
    """Red grows to the right and green downwards, from 0 to 1 over the sides."""
    at = (np.arange(side) + 0.5) / side
    planes = np.stack(
        [np.broadcast_to(at, (side, side)), np.broadcast_to(at[:, None], (side, side)), np.zeros((side, side))]
    )
    return np.round(255 * planes).astype(np.uint8)


def same(a: Any, b: Any) -> Any:
    tensors = ("crop", "thumbnail", "zoomed", "boxes", "style", "patch")
    return all(torch.equal(getattr(a, n), getattr(b, n)) for n in tensors) and (a.content_keys, a.style_ids) == (
        b.content_keys,
        b.style_ids,
    )


@pytest.fixture(scope="module")
def source() -> BatchSource:
    return BatchSource(report(noise(3)), report(noise(4, 1)), seed=5, device=CPU)


def test_shapes_and_range(source: BatchSource) -> None:
    batch = source.batch(0, SPEC)
    assert batch.crop.shape == batch.patch.shape == (3, 3, 24, 24)
    assert batch.thumbnail.shape[:2] == (3, 3)
    assert batch.thumbnail.shape[2] == batch.thumbnail.shape[3]
    assert batch.thumbnail.shape[2] in SPEC.thumbnails
    assert batch.style.shape == (3, 3, STYLE_THUMBNAIL, STYLE_THUMBNAIL)
    assert batch.zoomed.shape == (2, 3, 24, 24)
    assert batch.boxes.shape == (2, 4)
    for pictures in (batch.crop, batch.thumbnail, batch.zoomed, batch.style, batch.patch):
        assert pictures.dtype == torch.float32
        assert 0 <= pictures.min() < pictures.max() <= 1
    assert {source.batch(step, SPEC).thumbnail.shape[2] for step in range(8)} == set(SPEC.thumbnails)


def test_a_batch_is_keyed_by_seed_and_step_whatever_came_before(source: BatchSource) -> None:
    again = BatchSource(report(noise(3)), report(noise(4, 1)), seed=5, device=CPU)
    late, early = again.batch(7, SPEC), again.batch(2, SPEC)
    assert same(source.batch(2, SPEC), early)
    assert same(source.batch(7, SPEC), late)
    assert not same(early, late)
    other = BatchSource(report(noise(3)), report(noise(4, 1)), seed=6, device=CPU)
    assert not torch.equal(other.batch(2, SPEC).crop, early.crop)


def test_drawing_leaves_the_global_generators_alone(source: BatchSource) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    source.batch(3, SPEC)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # type: ignore[index]


def test_equal_content_keys_mean_equal_crops(source: BatchSource) -> None:
    seen = {}
    for step in range(12):
        batch = source.batch(step, SPEC)
        for key, crop in zip(batch.content_keys, batch.crop, strict=True):
            assert torch.equal(seen.setdefault(key, crop), crop)
    assert len(seen) == 3 * SPEC.crops_per_photo  # every photo and variant came up
    crops = list(seen.values())
    assert not any(torch.equal(a, b) for i, a in enumerate(crops) for b in crops[:i])


def test_without_variants_crops_are_fresh(source: BatchSource) -> None:
    fresh = BatchSpec(3, 24, (24,), 0, 4.0, crops_per_photo=0)
    keys = [key for step in range(10) for key in source.batch(step, fresh).content_keys]
    assert len(set(keys)) == len(keys)
    empty = source.batch(0, fresh)
    assert empty.zoomed.shape == (0, 3, 24, 24)
    assert empty.boxes.shape == (0, 4)


def test_artists_are_balanced_by_the_square_root_of_their_number() -> None:
    groups = ["many"] * 16 + ["some"] * 4 + ["one"]
    source = BatchSource(report(noise(1)), report(noise(21, 1, 20, 20), groups), seed=0, device=CPU)
    spec = BatchSpec(batch=64, crop=8, thumbnails=(8,), zoom_crops=0, magnification=1.0, crops_per_photo=1)
    ids = np.array([i for step in range(12) for i in source.batch(step, spec).style_ids])
    share = {g: np.mean([groups[i] == g for i in ids]) for g in ("many", "some", "one")}
    for group, expected in (("many", 4 / 7), ("some", 2 / 7), ("one", 1 / 7)):
        deviation = (expected * (1 - expected) / len(ids)) ** 0.5
        assert abs(share[group] - expected) < 4 * deviation
    within = np.bincount(ids, minlength=21)[:16]  # inside a folder, evenly
    assert within.min() > 0.3 * within.mean()
    assert within.max() < 2 * within.mean()


def test_a_crop_lies_in_its_photo_at_about_its_scale(source: BatchSource) -> None:
    """The photos are ramps: the colours of a crop say where it lies and how large it is."""
    ramps = BatchSource(report([ramp(64)]), report(noise(2, 1)), seed=0, device=CPU)
    for step in range(10):
        batch = ramps.batch(step, SPEC)
        for crop, thumbnail in zip(batch.crop, batch.thumbnail, strict=True):
            width = (crop[0, :, -1] - crop[0, :, 0]).abs().mean() * 24 / 23
            assert 24 / 64 * 0.97 <= width <= 1.4 * 24 / 64 * 1.03
            assert (crop[1, -1] - crop[1, 0]).mean() > 0  # never upside down
            # The window is the whole square photo; it is mirrored with its crop or not at all.
            mirrored = [bool((x[0, :, -1] - x[0, :, 0]).mean() < 0) for x in (crop, thumbnail)]
            assert mirrored[0] == mirrored[1]


def test_boxes_say_where_the_enlarged_crop_lies_in_the_thumbnail() -> None:
    ramps = BatchSource(report([ramp(96)]), report(noise(2, 1)), seed=0, device=CPU)
    sides = []
    for step in range(8):
        batch = ramps.batch(step, SPEC)
        region = sample_boxes(batch.thumbnail[: SPEC.zoom_crops], batch.boxes, SPEC.crop)
        assert (region - batch.zoomed).abs().max() < 0.02
        sides += (batch.boxes[:, 2:] - batch.boxes[:, :2]).flatten().tolist()
        assert (batch.boxes >= 0).all()
        assert (batch.boxes <= 1).all()
    assert min(sides) >= 24 / 4 / 96 - 1e-6
    assert max(sides) <= 24 / 96 + 1e-6
    assert max(sides) > 1.5 * min(sides)


def test_sample_boxes_reads_coordinates_off_a_ramp() -> None:
    side = 40
    at = (torch.arange(side) + 0.5) / side
    picture = torch.stack([at.expand(side, side), at[:, None].expand(side, side), torch.zeros(side, side)])
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.4], [0.25, 0.5, 0.75, 0.9]])
    region = sample_boxes(picture.expand(2, -1, -1, -1), boxes, side=8)
    assert region.shape == (2, 3, 8, 8)
    steps = (torch.arange(8) + 0.5) / 8
    for box, got in zip(boxes, region, strict=True):
        assert torch.allclose(got[0], (box[0] + (box[2] - box[0]) * steps).expand(8, 8), atol=SUM32)
        assert torch.allclose(got[1], (box[1] + (box[3] - box[1]) * steps)[:, None].expand(8, 8), atol=SUM32)


def test_sample_boxes_of_everything_is_the_picture() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    everything = torch.tensor([[0.0, 0, 1, 1]]).expand(2, 4)
    assert torch.allclose(sample_boxes(pictures, everything, 16), pictures, atol=SUM32)


def test_pictures_smaller_than_a_crop_are_enlarged_and_not_refused() -> None:
    small = BatchSource(report(noise(2, 0, 12, 15)), report(noise(2, 1, 10, 30)), seed=0, device=CPU)
    batch = small.batch(0, SPEC)
    assert batch.crop.shape == batch.patch.shape == (3, 3, 24, 24)
    assert batch.zoomed.shape == (2, 3, 24, 24)


def test_paintings_alone_are_keyed_by_seed_and_step() -> None:
    source = PaintingSource(report(noise(4)), 0, CPU)
    first = source.batch(3, 5, 16)
    assert first.shape == (5, 3, 16, 16)
    assert 0 <= first.min() < first.max() <= 1
    source.batch(8, 2, 16)
    assert torch.equal(source.batch(3, 5, 16), first)
    assert not torch.equal(source.batch(4, 5, 16), first)
    assert not torch.equal(PaintingSource(report(noise(4)), 1, CPU).batch(3, 5, 16), first)


def test_paintings_alone_are_cropped_at_varying_sizes_and_mirrored() -> None:
    """Of a ramp of red, a crop shows how much it holds: from half to all of the short side."""
    x = np.broadcast_to(np.linspace(0, 255, 80).round().astype(np.uint8), (3, 80, 80)).copy()
    source = PaintingSource(report([x]), 0, CPU)
    crops = torch.cat([source.batch(step, 8, 32) for step in range(20)])
    rises = (crops[:, 0, :, -1] - crops[:, 0, :, 0]).mean(1).numpy()  # below 0 where it is mirrored
    assert 0.3 < (rises < 0).mean() < 0.7
    assert 0.45 < abs(rises).min() < 0.55
    assert abs(rises).max() > 0.93
    assert np.ptp(crops[:, 0].mean((1, 2)).numpy()) > 0.2  # and from anywhere


def test_paintings_alone_are_drawn_by_the_square_root_of_their_artist_s() -> None:
    pictures = [np.full((3, 8, 8), 20 * i, np.uint8) for i in range(10)]
    source = PaintingSource(report(pictures, ["many"] * 9 + ["one"]), 0, CPU)
    levels = torch.cat([source.batch(step, 10, 8).mean((1, 2, 3)) for step in range(100)]) * 255
    assert (levels > 170).float().mean().item() == pytest.approx(1 / 4, abs=0.04)  # √1 of √9 + √1


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_have_the_whole_batch_between_them(source: BatchSource, processes: int) -> None:
    spec = BatchSpec(batch=6, crop=24, thumbnails=(24, 32), zoom_crops=2, magnification=4.0, crops_per_photo=0)
    paintings = PaintingSource(report(noise(4, 1)), seed=5, device=CPU)
    for step in range(4):
        whole = source.batch(step, spec)
        for process in range(processes):
            rows = Rows(process, processes)
            part = source.batch(step, spec, rows)
            for name in ("crop", "thumbnail", "style", "patch"):
                assert torch.equal(getattr(part, name), rows.pick(getattr(whole, name))), name
            for name in ("content_keys", "style_ids", "wrong"):
                assert getattr(part, name) == getattr(whole, name)[process::processes], name
            zoomed = [row for row in rows.own(6) if row < 2]
            assert torch.equal(part.zoomed, whole.zoomed[zoomed])
            assert torch.equal(part.boxes, whole.boxes[zoomed])
            assert (part.count, part.zoom_count, part.rows) == (6, 2, rows)
            of_paintings = paintings.batch(step, 6, 16, rows)
            assert torch.equal(of_paintings, rows.pick(paintings.batch(step, 6, 16)))


def test_the_wrong_painting_is_the_nearest_other_one_before(source: BatchSource) -> None:
    spec = BatchSpec(batch=6, crop=8, thumbnails=(8,), zoom_crops=0, magnification=1.0, crops_per_photo=1)
    repeated = 0
    for step in range(30):
        batch = source.batch(step, spec)
        ids = batch.style_ids
        assert len(batch.wrong) == 6
        for i, other in enumerate(batch.wrong):
            assert ids[other] != ids[i]
            between = [ids[(i - back) % 6] for back in range(1, (i - other) % 6)]
            assert set(between) <= {ids[i]}
            repeated += len(between)
    assert repeated
    alone = BatchSource(report(noise(3)), report(noise(1, 1)), seed=5, device=CPU)
    assert alone.batch(0, SPEC).wrong == []
