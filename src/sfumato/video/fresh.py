"""Fresh paintings of single frames of a shot, all with the statistics of one reference frame.

`DraftFrames` paints with the small generator, `MatchedFrames` by matched features (quality standard). Both keep the
grid and the noise of the strokes fixed to the scene: ``place`` says where the frame lies in the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sfumato.image import Picture
from sfumato.inference.draft import NOISE_PLACES
from sfumato.inference.feature_networks import STRIDE
from sfumato.inference.matched_painting import plan_scales
from sfumato.inference.matching import Array, Matcher, Readout
from sfumato.inference.options import PaintOptions
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.places import (
    as_rows,
    decode_places,
    encode_region,
    enter,
    enter_readout,
    even_colours,
    follow_luma,
    grey_places,
    read_mirrored,
)
from sfumato.inference.style import Style
from sfumato.inference.style_bank import make_bank
from sfumato.inference.stylizer import Stylizer
from sfumato.inference.tiling import ALIGNMENT
from sfumato.quality.motion import Frame, Mask
from sfumato.video.carrying import Paint

#: Styles with their weights, which sum to 1; a model of the kind collection has its own style, None.
Mixture = Sequence[tuple[Style | None, float]]
_SAMPLED = 6144  # places from which statistics are computed, at most
_SURE = 0.7  # trust of a place from which its carried painting is matched
_KEPT = 8  # statistics of references and styles that are kept


class Reference:
    """A frame that stands for a shot: its statistics are those of all frames.

    Attributes:
        frame: ``(H, W, 3)``, at the size of the painting.
        painted: its painting, ``(H, W, 3)``, rounded to 8 bits; the matches of the quality standard depend on it.
    """

    def __init__(self, frame: Frame, painted: Frame) -> None:
        self.frame, self.painted = frame, painted


class FreshFrames(Protocol):
    """Paints single frames."""

    def first(self, frame: Frame, mixture: Mixture) -> Paint:
        """Return a painting of the first frame of a shot, by itself: ``(H, W, 3)`` in levels."""

    def paint(
        self,
        frame: Frame,
        references: Sequence[tuple[Reference, float]],
        mixture: Mixture,
        place: tuple[int, int],
        carried: Paint,
        trust: Mask,
    ) -> Paint:
        """Return a painting of a later frame.

        Args:
            frame: ``(H, W, 3)``.
            references: of the shot, with weights that sum to 1.
            mixture: the styles.
            place: row and column of the frame's corner in the scene.
            carried: the painting as it is carried from the frames before, ``(H, W, 3)``.
            trust: of it, ``(H, W)``.
        """


def as_picture(frame: Frame | Paint) -> Picture:
    """Return a frame ``(H, W, 3)`` in levels as a picture ``(1, 3, H, W)`` in [0, 1]."""
    found: Picture = np.empty((1, 3, *frame.shape[:2]), np.float32)
    np.multiply(frame.transpose(2, 0, 1), np.float32(1 / 255), out=found[0])
    return found


def as_paint(picture: Picture) -> Paint:
    """Return a picture ``(1, 3, H, W)`` in [0, 1] as a frame ``(H, W, 3)`` in levels, clipped."""
    found = np.multiply(picture[0].transpose(1, 2, 0), np.float32(255), order="C")
    return np.asarray(np.clip(found, 0, 255, out=found))


def blended(mixture: Mixture) -> Style | None:
    """Return a mixture of styles as one style."""
    if len(mixture) == 1:
        return mixture[0][0]
    return Style.blend({style: weight for style, weight in mixture if style is not None})


class DraftFrames:
    """Fresh frames by the small generator.

    Args:
        stylizer: paints.
        options: of the painting.
    """

    def __init__(self, stylizer: Stylizer, options: PaintOptions) -> None:
        self._stylizer, self._options = stylizer, options
        self._shift = np.zeros(2, int)
        if options.seed:
            self._shift = np.random.default_rng(options.seed).integers(0, NOISE_PLACES, 2) * ALIGNMENT
        self._parameters = lru_cache(maxsize=_KEPT)(self._measure)

    def first(self, frame: Frame, mixture: Mixture) -> Paint:
        """See `FreshFrames.first`."""
        return self.paint(frame, [(Reference(frame, frame), 1.0)], mixture, (0, 0))

    def paint(
        self,
        frame: Frame,
        references: Sequence[tuple[Reference, float]],
        mixture: Mixture,
        place: tuple[int, int],
        _carried: Paint | None = None,
        _trust: Mask | None = None,
    ) -> Paint:
        """See `FreshFrames.paint`. The parameters of several styles and references are interpolated."""
        parameters = sum(
            np.float32(share * weight) * self._parameters(reference, style)
            for reference, share in references
            for style, weight in mixture
        )
        picture = as_picture(frame)
        rows, columns = (at % ALIGNMENT for at in place)
        padded = np.pad(picture, ((0, 0), (0, 0), (rows, 0), (columns, 0)), "reflect") if rows or columns else picture
        period = NOISE_PLACES * ALIGNMENT
        origin = tuple(
            int((at - at % ALIGNMENT + shift) % period) for at, shift in zip(place, self._shift, strict=True)
        )
        painted = self._stylizer.decode(padded, np.asarray(parameters, np.float32), (origin[0], origin[1]))
        painted = painted[:, :, rows:, columns:]
        if not self._stylizer.card.has_codes and self._options.strength < 1:
            painted = picture + np.float32(self._options.strength) * (painted - picture)
        return as_paint(painted)

    def _measure(self, reference: Reference, style: Style | None) -> npt.NDArray[np.float32]:
        """Return the normalisation parameters ``(1, A)`` of a style for the shot of a reference."""
        small = self._stylizer.thumbnail(ArrayReader(as_picture(reference.frame)))
        if style is None:
            return self._stylizer.measure(small, None)
        code = self._stylizer.fuse(small, style.code, self._options.strength, self._options.color)
        return self._stylizer.measure(small, code)


class MatchedFrames:
    """Fresh frames by matched features.

    The first frame of a shot is painted as a photo is. Every later one takes one pass at full size, whose queries
    include the carried painting, with the alignment, biases and readout of the reference.

    Args:
        stylizer: paints.
        options: of the painting, in the quality standard.
    """

    def __init__(self, stylizer: Stylizer, options: PaintOptions) -> None:
        self._stylizer, self._options = stylizer, options
        self._networks = stylizer.networks
        self._matchers = lru_cache(maxsize=_KEPT)(self._prepare)

    def first(self, frame: Frame, mixture: Mixture) -> Paint:
        """See `FreshFrames.first`."""
        return as_paint(
            self._stylizer(
                as_picture(frame),
                blended(mixture),
                self._options.strength,
                stroke=self._options.stroke,
                color=self._options.color,
                seed=self._options.seed,
                quality="standard",
            )
        )

    def paint(
        self,
        frame: Frame,
        references: Sequence[tuple[Reference, float]],
        mixture: Mixture,
        place: tuple[int, int],
        carried: Paint,
        trust: Mask,
    ) -> Paint:
        """See `FreshFrames.paint`. The places of several styles and references are averaged before decoding."""
        height, width = frame.shape[:2]
        strength = np.float32(self._options.strength)
        if not strength:
            return frame.astype(np.float32)
        pads = [at % STRIDE for at in place]
        sure = np.broadcast_to(trust, (1, 1, height, width))
        picture, before, sure = (
            np.pad(each, ((0, 0), (0, 0), (pads[0], 0), (pads[1], 0)), "edge")
            for each in (as_picture(frame), as_picture(carried), sure)
        )
        source, now = ArrayReader(picture), ArrayReader(before)
        whole = slice(0, source.height), slice(0, source.width)
        photo = encode_region(self._networks, source, *whole)
        rows, painted_rows = as_rows(photo), as_rows(encode_region(self._networks, now, *whole))
        # A gap has no painting yet that could be matched; it gets the one that the photo alone would get.
        gaps = _cells(sure, photo.shape[1:]) < _SURE
        total: Array | None = None
        grey = np.float32(0)
        for reference, share in references:
            for style, weight in mixture:
                matcher, shown = self._matchers(reference, style)
                if gaps.any():
                    painted_rows[gaps] = matcher.bank.vectors[matcher.search(rows[gaps], None).chosen]
                part = np.float32(share * weight) * shown.places(matcher.search(rows, painted_rows))
                total = part if total is None else total + part
                grey += np.float32(share * weight * matcher.bank.is_grey)
        assert total is not None, "a mixture has a style"
        places = total.T.reshape(-1, *photo.shape[1:])
        evened = np.float32(plan_scales(height, width)[-1].weights.evened)
        mirrored = read_mirrored(source, *whole)
        colours = places[-3:]
        colours += evened * (follow_luma(colours, mirrored) - colours)
        colours += even_colours(read_mirrored(now, *whole), mirrored).correction(colours, *whole)
        lost = None
        if strength < 1:
            own = enter(self._networks, photo)
            places = (1 - strength) * own + strength * places
            lost = mirrored - decode_places(self._networks, own)
        painted = decode_places(self._networks, places)
        if lost is not None:
            painted = painted + (1 - strength) * lost
        mean = painted.mean(1, keepdims=True)  # the decoder tints greys
        painted += strength * grey * (mean - painted)
        return as_paint(painted[:, :, pads[0] : pads[0] + height, pads[1] : pads[1] + width])

    def _prepare(self, reference: Reference, style: Style) -> tuple[Matcher, Readout]:
        """Return the matcher of a style for the shot of a reference, and its readout for the decoder."""
        picture, painted = as_picture(reference.frame), as_picture(reference.painted)
        source = ArrayReader(picture)
        scale = plan_scales(source.height, source.width)[-1]
        pictures = tuple(style.pictures)
        if self._options.color == "content":
            small = self._stylizer.thumbnail(source)
            pictures = tuple(each.recoloured(small) for each in pictures)
        short = max(1, round(scale.short * self._options.stroke))
        bank = make_bank(self._networks, pictures, short, self._options.seed)
        whole = slice(0, source.height), slice(0, source.width)
        places, now = (as_rows(encode_region(self._networks, ArrayReader(each), *whole)) for each in (picture, painted))
        rng = np.random.default_rng([0x51DE, self._options.seed])
        if len(places) > _SAMPLED:
            some = np.sort(rng.permutation(len(places))[:_SAMPLED])
            places, now = places[some], now[some]
        matcher = Matcher(bank, places, now, scale.weights, rng, grey_places(self._networks))
        return matcher, enter_readout(self._networks, matcher.readout)


def _cells(plane: npt.NDArray[np.float32], size: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the value ``(h w,)`` of ``(1, 1, H, W)`` in the middle of each cell of `STRIDE` pixels."""
    rows, columns = (
        np.minimum(np.arange(count) * STRIDE + STRIDE // 2, side - 1)
        for count, side in zip(size, plane.shape[2:], strict=True)
    )
    return np.asarray(plane[0, 0][np.ix_(rows, columns)].ravel())
