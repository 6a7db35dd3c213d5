"""The generator of any style with the codes of one collection inside: each photo takes those of the work it suits best.

A collection has more than one palette; the mean of its codes has none of them. So the codes of some works are kept as
a book, and a photo is painted under one of them: a dark photo as the painter's dark pictures are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.generator import Generator
from sfumato.networks.statistics import colour_statistics, matrix_roots, pack_palette
from sfumato.networks.style_encoder import LOOK, StyleEncoder
from sfumato.style_code import MEASURED

PALETTE = 9  # numbers by which photos and works are compared: mean colour, and the root of the colours' covariance


class CodebookGenerator(nn.Module):
    """`measure(thumbnail)` chooses a code and gives every scale and shift under it; `forward(photo, affines)` paints.

    The work is chosen whose palette lies, among the works', where the photo's lies among photos: both are compared as
    deviations from their means. `codes` (K, D) train; `looks` (K, `LOOK`) are what refinement aims at.
    """

    codes: nn.Parameter
    places: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, widths: tuple[int, int, int], blocks: int, code_size: int, style_size: int, codes: int) -> None:
        super().__init__()
        self.generator = Generator(widths, blocks, code_size, style_size)
        self.codes = nn.Parameter(torch.zeros(codes, code_size))
        self.looks = nn.Parameter(torch.zeros(codes, LOOK), requires_grad=False)  # so that it is stored in 16 bits
        self.register_buffer("places", torch.zeros(codes, PALETTE))  # of the works' palettes among them
        self.register_buffer("mean", torch.zeros(PALETTE))  # of photos' palettes
        self.register_buffer("deviation", torch.ones(PALETTE))

    @torch.no_grad()
    def fit(self, encoder: StyleEncoder, works: Sequence[Tensor], photos: Iterable[Tensor]) -> None:
        """Take the codes and looks of works, K of them, and how photos are; each (1, 3, h, w) in [0, 1]."""
        seen = [encoder.look(work) for work in works]
        self.codes.copy_(torch.cat([code for code, _, _ in seen]))
        self.looks.copy_(torch.cat([look for _, _, look in seen]))
        palettes = self.codes[:, -MEASURED:][:, :PALETTE]
        self.places.copy_((palettes - palettes.mean(0)) / _spread(palettes))
        palettes = torch.cat([_seen(photo) for photo in photos])
        self.mean.copy_(palettes.mean(0))
        self.deviation.copy_(_spread(palettes))

    def choose(self, thumbnail: Tensor) -> Tensor:
        """Thumbnail (B, 3, h, w) in [0, 1] -> the places (B,) int64 in the book of the codes for these photos."""
        place = (_seen(thumbnail) - self.mean) / self.deviation
        return (place[:, None] - self.places).square().sum(2).argmin(1)

    def look(self, thumbnail: Tensor) -> Tensor:
        """What refinement of these photos aims at, (B, `LOOK`)."""
        return self.looks.index_select(0, self.choose(thumbnail))

    def measure(self, thumbnail: Tensor, photo: Tensor | None = None) -> Tensor:
        """Thumbnail (B, 3, h, w) in [0, 1], sides 16 or more -> affines (B, A) float32.

        The code is that for `photo`, where the thumbnail is of another picture: of one that is painted already.
        """
        return self.measure_and_paint(thumbnail, photo)[0]

    def measure_and_paint(self, thumbnail: Tensor, photo: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`measure`, and the thumbnail as painted on the way (B, 3, h, w)."""
        codes = F.embedding(self.choose(thumbnail if photo is None else photo), self.codes)
        return self.generator.measure_and_paint(thumbnail, codes)

    def forward(self, x: Tensor, affines: Tensor, origin: Tensor | None = None) -> Tensor:
        """As `Generator.forward`."""
        painted: Tensor = self.generator(x, affines, origin)
        return painted

    def features(self, x: Tensor) -> list[Tensor]:
        """Pictures (B, 3, H, W) -> features at strides 2, 4 and 8, for `PatchSampler`: free of noise and style."""
        return self.generator.content_features(x)


def _seen(x: Tensor) -> Tensor:
    """The palettes of pictures (B, 3, h, w), as codes have them (`Measured.pack`): (B, `PALETTE`)."""
    mean, covariance = colour_statistics(x)
    root, _ = matrix_roots(covariance)
    return pack_palette(mean, root)


def _spread(palettes: Tensor) -> Tensor:
    """Deviations, of which those next to nothing do not count."""
    return palettes.std(0, correction=0) + 0.005
