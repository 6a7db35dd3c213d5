"""Recorded normalisation (measured once on a thumbnail, then replayed as scales and shifts) and colour statistics.

Adaptive instance normalisation (Huang & Belongie 2017, eq. 8) is y = γ(z)·(h - μ(h))/σ(h) + β(z). For one photo, code
and strength it is a per-channel `scale = γ/σ`, `shift = β - μ·scale`. `RecordNorm` computes them in one pass and
records them. `ReplayNorm` replays a recorded vector on a crop, a tile, a frame or the photo at another size. Networks
take either as a `NormSource`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sfumato.networks.layers import full_precision, split_bands
from sfumato.style_code import BANDS, COLOUR_STATS_SIZE, SHARES

EPSILON = 1e-4
MIDDLE = 3  # index of the median in SHARES
BAND_FLOOR = 4e-4  # variance added to every band of whitened pictures, whose colours have variance 1
FLAT = 0.5  # in deviations; bounds the slope of a tone curve, so that a night sky stays plain
COLOUR_FLOOR = (
    1.5e-4  # variance added to every colour direction: keeps a grey photo's chroma noise from being amplified
)


class Affine(nn.Module):
    """A per-channel scale and shift: instance normalisation whose γ and β come from style features of `style_size`.

    Without a `style_size`, γ = 1 and β = 0.
    """

    def __init__(self, channels: int, style_size: int = 0) -> None:
        super().__init__()
        self.channels = channels
        self.style = nn.Linear(style_size, 2 * channels) if style_size else None
        if self.style is not None:
            with torch.no_grad():
                self.style.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))

    def forward(self, h: Tensor, norms: NormSource) -> Tensor:
        """Return scale·h + shift for features h (B, C, H, W), in the same shape."""
        scale, shift = norms(self, h)
        return torch.addcmul(shift[:, :, None, None], h, scale[:, :, None, None])


class NormSource(Protocol):
    """A source of normalisation parameters, called by the layers in a fixed order."""

    def __call__(self, layer: Affine, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and shift (B, C) of a layer with the input h (B, C, H, W)."""
        ...

    def value(self, size: int, compute: Callable[[], Tensor]) -> Tensor:
        """Return values (B, size) of another kind, which `compute` measures."""
        ...


class RecordNorm:
    """A source that measures each layer's statistics under style features (B, S), and records all values."""

    def __init__(self, style: Tensor) -> None:
        self.style = style
        self.values: list[Tensor] = []

    def __call__(self, layer: Affine, h: Tensor) -> tuple[Tensor, Tensor]:
        """Measure scale and shift (B, C) of a layer on its input h (B, C, H, W)."""
        variance, mean = torch.var_mean(h.float(), (2, 3), correction=0)
        scale = torch.rsqrt(variance + EPSILON)
        shift = -mean * scale
        if layer.style is not None:
            gamma, beta = layer.style(self.style).float().chunk(2, 1)
            scale, shift = gamma * scale, gamma * shift + beta
        self.values += [scale, shift]
        return scale.to(h.dtype), shift.to(h.dtype)

    def value(self, _size: int, compute: Callable[[], Tensor]) -> Tensor:
        """Compute, record and return values (B, size)."""
        self.values.append(compute().float())
        return self.values[-1]

    def norm_params(self) -> Tensor:
        """Return all values of the pass, (B, A) float32."""
        return torch.cat(self.values, 1)


class ReplayNorm:
    """A source that replays a recorded vector (B, A)."""

    def __init__(self, norm_params: Tensor) -> None:
        self.norm_params = norm_params
        self.at = 0

    def __call__(self, layer: Affine, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next recorded scale and shift (B, C), in the dtype of h."""
        scale = self._next(layer.channels)
        return scale.to(h.dtype), self._next(layer.channels).to(h.dtype)

    def value(self, size: int, _compute: Callable[[], Tensor]) -> Tensor:
        """Return the next `size` recorded values (B, size)."""
        return self._next(size)

    def _next(self, size: int) -> Tensor:
        self.at += size
        return self.norm_params[:, self.at - size : self.at]


def colour_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (B, 3) and covariance (B, 3, 3) of the pixels of x (B, 3, H, W), plus `COLOUR_FLOOR` times I."""
    flat = x.float().flatten(2)
    mean = flat.mean(2)
    centred = flat - mean[:, :, None]
    floor = COLOUR_FLOOR * torch.eye(3, device=x.device)
    with full_precision(x):
        return mean, centred @ centred.transpose(1, 2) / flat.shape[2] + floor


def matrix_roots(a: Tensor, iterations: int = 20) -> tuple[Tensor, Tensor]:
    """Compute A^½ and A^-½ of symmetric positive definite A (B, n, n).

    The coupled Newton-Schulz iteration (Higham 2008, eq. 6.35) has only products, so it can be exported; 20 steps reach
    float32's limit for condition numbers up to about 1e4. The gradient is that of the fixed point (`_MatrixRoots`), not
    of the steps.
    """
    if torch.is_grad_enabled() and a.requires_grad:
        roots: tuple[Tensor, Tensor] = _MatrixRoots.apply(a, iterations)  # type: ignore[no-untyped-call]
        return roots
    return _newton_schulz(a, iterations)


def _newton_schulz(a: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    norm = a.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    eye = torch.eye(a.shape[1], device=a.device).expand_as(a)
    y, z = a / norm, eye
    with full_precision(a):
        for _ in range(iterations):
            t = 1.5 * eye - 0.5 * (z @ y)
            y, z = y @ t, t @ z
    return y * norm.sqrt(), z * norm.rsqrt()


class _MatrixRoots(torch.autograd.Function):
    """The function `matrix_roots` with the gradient of its fixed point: one linear system instead of many products.

    With Y = A^½ and Z = A^-½, dA = Y dY + dY Y and dZ = -Z dY Z. So with G = G_Y - Z G_Z Z the gradient Λ solves
    Y Λ + Λ Y = G (for Y alone: Lin & Maji 2017, "Improved Bilinear Pooling with CNNs", eq. 7).
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        y, z = _newton_schulz(a, iterations)
        ctx.save_for_backward(y, z)
        return y, z

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_y: Tensor, to_z: Tensor) -> tuple[Tensor, None]:
        y, z = ctx.saved_tensors
        n = y.shape[1]
        eye = torch.eye(n, device=y.device, dtype=y.dtype)
        with full_precision(y):
            given = to_y - z @ to_z @ z
            # With vec by rows and a symmetric Y, vec(Y Λ + Λ Y) = (Y ⊗ 1 + 1 ⊗ Y) vec Λ.
            both = torch.einsum("bik,jl->bijkl", y, eye) + torch.einsum("ik,bjl->bijkl", eye, y)
            solved, _ = torch.linalg.solve_ex(both.reshape(-1, n * n, n * n), given.reshape(-1, n * n, 1))
        return solved.reshape_as(y), None


def map_colours(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply each pixel of x (B, 3, H, W) by matrix (B, 3, 3), in float32."""
    with full_precision(x):
        # Not `unflatten`: the ONNX exporter would fix its sizes after an interpolation.
        return (matrix @ x.float().flatten(2)).reshape_as(x)


def band_deviations(white: Tensor) -> Tensor:
    """Return the deviation of each channel in each of `BANDS` octaves of whitened pictures (B, 3, H, W): (B, 3·BANDS).

    H and W are cut to multiples of 2^BANDS. `BAND_FLOOR` keeps an empty band from being amplified.
    """
    step = 2**BANDS
    height, width = white.shape[2] // step * step, white.shape[3] // step * step
    bands, _ = split_bands(white[:, :, :height, :width], BANDS)
    return torch.cat([(band.square().mean((2, 3)) + BAND_FLOOR).sqrt() for band in bands], 1)


def tones(white: Tensor) -> Tensor:
    """Return the quantiles at `SHARES` of each channel of whitened pictures (B, 3, H, W): (B, 3, len(SHARES))."""
    ranked, _ = white[:, :, ::4, ::4].flatten(2).sort(2)  # a sixteenth of the pixels suffices for quantiles
    shares = torch.tensor(SHARES, device=white.device)
    return ranked.index_select(2, (shares * (ranked.shape[2] - 1)).round().long())


@dataclass(frozen=True)
class ToneCurve:
    """An increasing, piecewise linear curve for each channel: slope·x + offset + Σ bends·max(x, knots)."""

    slope: Tensor  # (B, 3)
    offset: Tensor  # (B, 3)
    knots: Tensor  # (B, 3, K)
    bends: Tensor  # (B, 3, K)

    KNOTS = len(SHARES) - 2
    SIZE = 3 * (2 + 2 * KNOTS)

    @classmethod
    def between(cls, own: Tensor, target: Tensor) -> ToneCurve:
        """Return the curve that maps quantiles `own` to `target`, both (B, 3, len(SHARES)); exact at the median."""
        slopes = (target[:, :, 1:] - target[:, :, :-1] + FLAT) / (own[:, :, 1:] - own[:, :, :-1] + FLAT)
        knots, bends = own[:, :, 1:-1], slopes[:, :, 1:] - slopes[:, :, :-1]
        middle = own[:, :, MIDDLE : MIDDLE + 1]
        there = slopes[:, :, 0] * middle[:, :, 0] + (bends * torch.maximum(middle, knots)).sum(2)
        return cls(slopes[:, :, 0], target[:, :, MIDDLE] - there, knots, bends)

    def pack(self) -> Tensor:
        """Return all values as one tensor (B, SIZE)."""
        return torch.cat([self.slope, self.offset, self.knots.flatten(1), self.bends.flatten(1)], 1)

    @classmethod
    def unpack(cls, values: Tensor) -> ToneCurve:
        """Return the curve whose `pack` is `values` (B, SIZE)."""
        slope, offset, knots, bends = values.split([3, 3, 3 * cls.KNOTS, 3 * cls.KNOTS], 1)
        return cls(slope, offset, knots.unflatten(1, (3, -1)), bends.unflatten(1, (3, -1)))

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the curve to pictures (B, 3, H, W)."""
        y = torch.addcmul(self.offset[:, :, None, None], x, self.slope[:, :, None, None])
        for k in range(self.KNOTS):
            bent = torch.maximum(x, self.knots[:, :, k, None, None])
            y = torch.addcmul(y, bent, self.bends[:, :, k, None, None])
        return y


def pack_palette(mean: Tensor, root: Tensor) -> Tensor:
    """Pack mean colour (B, 3) and the upper triangle of the root (B, 3, 3) of the colours' covariance: (B, 9)."""
    return torch.cat([mean, root[:, 0], root[:, 1, 1:], root[:, 2, 2:]], 1)


@dataclass(frozen=True)
class ColourStats:
    """The measured part of a style code: palette, contrast of each octave, and tones.

    Attributes:
        mean: mean colour, (B, 3).
        root: symmetric square root of the colours' covariance, (B, 3, 3).
        bands: deviations by octave, (B, 3·BANDS), from `band_deviations`.
        tones: quantiles, (B, 3, len(SHARES)), from the function `tones`.
    """

    mean: Tensor
    root: Tensor
    bands: Tensor
    tones: Tensor

    @classmethod
    def of(cls, x: Tensor) -> tuple[ColourStats, Tensor]:
        """Measure pictures x (B, 3, H, W) in [0, 1]; return the statistics and the whitened pictures."""
        mean, covariance = colour_statistics(x)
        root, whiten = matrix_roots(covariance)
        white = map_colours(whiten, x - mean[:, :, None, None])
        return cls(mean, root, band_deviations(white), tones(white)), white

    def pack(self) -> Tensor:
        """Pack as (B, COLOUR_STATS_SIZE): mean (3), upper triangle of the root (6), bands, tones."""
        return torch.cat([pack_palette(self.mean, self.root), self.bands, self.tones.flatten(1)], 1)

    @classmethod
    def unpack(cls, code: Tensor) -> ColourStats:
        """Unpack from the end of style codes (B, D)."""
        packed = code[:, -COLOUR_STATS_SIZE:].float()
        mean, triangle, bands, flat_tones = packed.split([3, 6, 3 * BANDS, 3 * len(SHARES)], 1)
        root = triangle[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].unflatten(1, (3, 3))
        return cls(mean, root, bands, flat_tones.unflatten(1, (3, -1)))
