"""The generator of one collection: photos in the style of one painter, learnt from unpaired pictures.

The residual network of CycleGAN (Zhu et al. 2017, §4) and CUT (Park et al. 2020) with recorded normalisation
(`statistics`): `measure(thumbnail)` returns every scale and shift, `forward(photo, norm_params)` paints with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.config import Normalization
from sfumato.networks.generator import Noise
from sfumato.networks.layers import SubPixel, conv, space_to_depth, upsample
from sfumato.networks.statistics import EPSILON, NormSource, RecordNorm, ReplayNorm

STRIDE = 8  # stride of the deepest features: pictures are padded to a multiple of it
MOMENTUM = 0.1  # momentum of the running statistics, PyTorch's default


class Norm(nn.Module):
    """A normalisation layer with its own γ and β; a `NormSource` measures or replays its scale and shift.

    `instance`: mean and variance of each channel of each picture (Ulyanov et al. 2016). `batch`: those of the batch in
    training, and their running averages otherwise (Ioffe & Szegedy 2015); each process has its own averages. `none`:
    the scale is 1 and the shift β, a plain bias. All three record 2C values, so norm_params have the same layout.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, normalization: Normalization) -> None:
        super().__init__()
        self.normalization = normalization
        self.records = True  # whether `batch` updates its running averages
        self.beta = nn.Parameter(torch.zeros(channels))
        if normalization != "none":
            self.gamma = nn.Parameter(torch.ones(channels))
        if normalization == "batch":
            self.register_buffer("mean", torch.zeros(channels))
            self.register_buffer("variance", torch.ones(channels))

    def forward(self, h: Tensor, norms: NormSource) -> Tensor:
        """Return scale·h + shift for features h (B, C, H, W), in the same shape."""
        values = norms.value(2 * len(self.beta), lambda: self._scale_and_shift(h.float()))
        scale, shift = values.to(h.dtype).chunk(2, 1)
        return torch.addcmul(shift[:, :, None, None], h, scale[:, :, None, None])

    def _scale_and_shift(self, h: Tensor) -> Tensor:
        """Return scales and shifts (B, 2C) measured on features (B, C, H, W)."""
        if self.normalization == "none":
            return torch.cat([torch.ones_like(self.beta), self.beta]).expand(h.shape[0], -1)
        mean, variance = self._statistics(h)
        scale = self.gamma * torch.rsqrt(variance + EPSILON)
        return torch.cat([scale, self.beta - mean * scale], 1).expand(h.shape[0], -1)

    def _statistics(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of features (B, C, H, W), (B, C) or (1, C) each."""
        if self.normalization == "instance":
            variance, mean = torch.var_mean(h, (2, 3), correction=0)
        elif not self.training:
            mean, variance = self.mean[None], self.variance[None]
        else:
            variance, mean = torch.var_mean(h, (0, 2, 3), correction=0)
            if self.records:
                self._record(mean, variance, h.numel() // h.shape[1])
            mean, variance = mean[None], variance[None]
        return mean, variance

    @torch.no_grad()
    def _record(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.mean.lerp_(mean, MOMENTUM)
        self.variance.lerp_(variance * count / max(1, count - 1), MOMENTUM)  # unbiased, as in PyTorch


class _Layer(nn.Module):
    """A convolution, normalisation and ReLU; the bias is the normalisation's β."""

    def __init__(self, inputs: int, outputs: int, normalization: Normalization, stride: int = 1) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs, stride=stride, bias=False)
        self.norm = Norm(outputs, normalization)

    def forward(self, h: Tensor, norms: NormSource) -> Tensor:
        return F.relu(self.norm(self.conv(h), norms))


class _Block(nn.Module):
    """A residual block: a 3×3 convolution to 9/16 of the channels and a 1×1 back, both normalised.

    It has one 3×3 convolution instead of the usual two, so that the receptive field of six blocks stays within a tile's
    halo, and their graph below 4 MB.
    """

    def __init__(self, width: int, normalization: Normalization) -> None:
        super().__init__()
        inner = max(1, width * 9 // 16)
        self.layer = _Layer(width, inner, normalization)
        self.mix, self.norm = conv(inner, width, kernel=1, bias=False), Norm(width, normalization)

    def forward(self, h: Tensor, norms: NormSource) -> Tensor:
        inner: Tensor = self.norm(self.mix(self.layer(h, norms)), norms)
        return h + inner


class CollectionGenerator(nn.Module):
    """A network that maps a photo (B, 3, H, W) in [0, 1] to a painting of one collection, near [0, 1].

    `widths` are the channels at strides 2, 4 and 8. `blocks` residual blocks lie at stride 8; the first half encodes,
    the second half paints with a fixed noise field as an input, which decides where strokes fall in plain areas. The
    weights of the noise start at 0.

    The output is photo + tanh(r), with a small r at first. A direct output would start from grey and have to recover
    the photo's tones by adversarial training, which swapped light and dark satisfy as well; starting from the photo,
    an inversion is far away. The tanh bounds the change to what any colour needs to become any other, so r cannot
    diverge. The network has only convolutions and per-channel values, so crops and tiles agree with the whole.
    """

    def __init__(
        self, widths: tuple[int, int, int] = (32, 64, 128), blocks: int = 4, normalization: Normalization = "instance"
    ) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.noise = Noise()
        # As in ContentEncoder, the first level reads 2×2 blocks of pixels as channels.
        self.encoder = nn.ModuleList(
            [
                _Layer(12, fine, normalization),
                _Layer(fine, middle, normalization, stride=2),
                _Layer(middle, deep, normalization, stride=2),
            ]
        )
        self.read = nn.ModuleList([_Block(deep, normalization) for _ in range(blocks // 2)])
        self.deep_noise = conv(64, deep, kernel=1, bias=False)
        self.blocks = nn.ModuleList([_Block(deep, normalization) for _ in range(blocks - blocks // 2)])
        self.reduce1 = _Layer(deep, middle, normalization)
        self.layer1 = _Layer(middle, middle, normalization)
        self.reduce2 = _Layer(middle, fine, normalization)
        self.fine_noise = conv(4, fine, kernel=1, bias=False)
        # No normalisation in the last layers: it causes droplets there (Karras et al. 2020, §2).
        self.conv2 = conv(fine, fine)
        self.paint = SubPixel(fine, 3)
        self._init_weights(blocks)

    @torch.no_grad()
    def _init_weights(self, blocks: int) -> None:
        """Initialise for equal feature variance at any depth (He et al. 2015), and an output close to the photo."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    module.bias.zero_()
        for block in (*self.read, *self.blocks):
            block.get_submodule("mix").get_parameter("weight").mul_((2 * blocks) ** -0.5)
        for noise in (self.deep_noise, self.fine_noise):
            noise.weight.zero_()
        self.paint.conv.weight.mul_(0.02)

    def measure(self, thumbnail: Tensor) -> Tensor:
        """Measure norm_params (B, A) float32 on a thumbnail (B, 3, h, w) in [0, 1] with sides of 16 or more.

        With `batch` normalisation, in training mode, it also updates the running statistics.
        """
        return self.measure_and_paint(thumbnail)[0]

    def measure_and_paint(self, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """Return `measure(thumbnail)`, and the thumbnail painted in the same pass (B, 3, h, w)."""
        norms, origin = _recorder(thumbnail), torch.zeros(2, dtype=torch.long, device=thumbnail.device)
        painted = self._paint(thumbnail, norms, origin)
        return norms.norm_params(), painted

    def forward(self, x: Tensor, norm_params: Tensor, origin: Tensor | None = None) -> Tensor:
        """Paint a photo under given normalisation parameters.

        Args:
            x: photo or tile, (B, 3, H, W) in [0, 1], sides 16 or more.
            norm_params: (B, A), from `measure`.
            origin: position (row, column) of x in the whole photo, (2,) int64, default (0, 0). Multiples of 8 keep the
                coarser levels aligned.

        Returns:
            Picture (B, 3, H, W) in [-1, 2].
        """
        origin = torch.zeros(2, dtype=torch.long, device=x.device) if origin is None else origin
        return self._paint(x, ReplayNorm(norm_params), origin)

    def features(self, x: Tensor, norm_params: Tensor | None = None) -> list[Tensor]:
        """Encode pictures (B, 3, H, W) for `PatchSampler`: features at strides 2, 4, 8, and after the encoding blocks.

        They do not include noise, which would distinguish places that look alike. Statistics are those of
        `norm_params`, measured on the pictures' thumbnails, or else measured on x as CUT does.
        """
        norms = _recorder(x) if norm_params is None else ReplayNorm(norm_params)
        levels, h = self._encode(_pad_to_stride(x), norms)
        return [*levels, h]

    def _encode(self, x: Tensor, norms: NormSource) -> tuple[list[Tensor], Tensor]:
        h, levels = space_to_depth(2 * x - 1), []
        for layer in self.encoder:
            h = layer(h, norms)
            levels.append(h)
        for block in self.read:
            h = block(h, norms)
        return levels, h

    def _paint(self, x: Tensor, norms: NormSource, origin: Tensor) -> Tensor:
        """Paint x in one pass; `norms` measures or replays the normalisation parameters."""
        height, width = x.shape[2:]
        x = _pad_to_stride(x)
        (fine, middle, _), h = self._encode(x, norms)
        noise = space_to_depth(self.noise(x, origin))
        h = h + self.deep_noise(space_to_depth(space_to_depth(noise)))
        for block in self.blocks:
            h = block(h, norms)
        h = upsample(self.reduce1(h, norms)) + middle
        h = self.reduce2(self.layer1(h, norms), norms)
        h = F.relu(self.conv2(upsample(h) + fine + self.fine_noise(noise)))
        painted = x.float() + torch.tanh(self.paint(h).float())
        return painted[:, :, :height, :width]


@contextmanager
def unrecorded(*generators: nn.Module) -> Iterator[None]:
    """Keep the running averages of batch normalisation fixed inside the context.

    Only the inputs that a generator paints from may enter them.
    """
    norms = [module for generator in generators for module in generator.modules() if isinstance(module, Norm)]
    for norm in norms:
        norm.records = False
    try:
        yield
    finally:
        for norm in norms:
            norm.records = True


def _pad_to_stride(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    return F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")


def _recorder(x: Tensor) -> RecordNorm:
    return RecordNorm(x.new_empty(x.shape[0], 0))  # no style features: the layers have their own γ and β
