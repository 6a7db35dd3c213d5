"""Facts of the networks that painting, which must not import torch, has as constants: both are equal."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from sfumato.inference import draft, feature_networks, matching, style_distance, tiling, upscale
from sfumato.networks import collection_generator, generator, hypercolumn, perceptual, statistics, upscaler
from sfumato.style_code import COLOUR_STATS_SIZE


def test_noise_repeats_after_as_many_places() -> None:
    assert math.lcm(*generator.NOISE_PERIODS) == draft.NOISE_PLACES * tiling.ALIGNMENT


@pytest.mark.parametrize("stride", [generator.STRIDE, collection_generator.STRIDE])
def test_tiles_begin_on_the_grid_of_the_generators(stride: int) -> None:
    assert tiling.ALIGNMENT % stride == 0
    assert tiling.HALO % stride == 0


def test_hypercolumns_are_those_of_the_encoder() -> None:
    assert feature_networks.STRIDE == hypercolumn.STRIDE
    assert matching.LAYER_CHANNELS == hypercolumn.LAYER_CHANNELS


def test_codes_end_with_what_the_style_encoder_measures() -> None:
    assert COLOUR_STATS_SIZE == statistics.COLOUR_STATS_SIZE == len(style_distance._DEVIATIONS)
    assert 2 * perceptual.WIDTHS["relu3_1"] == style_distance._DEEPEST


def test_the_upscaler_enlarges_as_it_was_trained() -> None:
    assert upscale.SCALE == upscaler.SCALE
