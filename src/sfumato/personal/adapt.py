"""A person's style, adapted: a few-shot adversarial fine-tune of an adapter, with everything else frozen.

The generator of the shipped model paints any style; some minutes on the liked pictures alone make it paint theirs
better. What trains is an :class:`~sfumato.inference.adapter.Adapter`: low-rank changes of kernels and of the matrices
that give γ and β (Hu et al. 2022; Perez et al. 2018), at most 2 MB. Opponent is a projected discriminator with
DiffAugment (`networks.discriminator`, `losses.augment`: few pictures are learnt by heart otherwise). Weight decay of
the change towards nothing keeps what the model knows (after Li et al. 2020, section 3), and the weight of the content
loss is steered so that a little more of the photo is kept than the model keeps without it (`training.controller`).

Whether the low-rank part is good, and whether any of it was worth it, is decided on liked pictures that were held
back (`adapt`), by VGG19's statistics and the leak measure; where not, the instant style stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sfumato.checkpoint import load_model
from sfumato.errors import InputError, UsageError
from sfumato.image import Picture, read_image, resize
from sfumato.inference.adapter import DOWN, LEAST, UP, Adapter
from sfumato.inference.marks import symmetric
from sfumato.inference.session import WEIGHTS
from sfumato.inference.stylizer import Style, Stylizer
from sfumato.inference.taste import Taste
from sfumato.losses.augment import Augment
from sfumato.losses.game import Game
from sfumato.losses.objective import LossWeights, total_loss
from sfumato.losses.perceptual import (
    CONTENT_LAYER,
    GRAM_LAYERS,
    STYLE_LAYERS,
    StyleTarget,
    alternate_views,
    content_loss,
    gram_loss,
    luma_view,
    normalise_features,
    range_loss,
    statistics_loss,
    style_target,
    total_variation_loss,
)
from sfumato.networks.discriminator import ProjectedDiscriminator
from sfumato.networks.generator import Generator
from sfumato.networks.model import StyleTransferModel
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.quality.style import Layout, content_leak
from sfumato.style_code import StyleCode, code_parts
from sfumato.training.controller import next_weight
from sfumato.training.optim import EMA, learning_rate

#: Steps of a fine-tune, and samples of each.
STEPS, BATCH = 100, 2
#: Pixels: side of the crops that are painted. Pictures are held at two and a half times that on their short side, which
#: is the side that styles are looked at: marks have their size.
CROP = 128
#: Of a kernel's change, and of a matrix's.
RANK, MATRIX_RANK = 16, 8
LEARNING_RATE, DISCRIMINATOR_RATE = 1e-3, 2e-3
#: Liked pictures, at least: some are held back to judge with.
LIKED_TO_ADAPT = 4
#: Of the liked pictures, held back; of content distance, how much more is still as good; photos that are judged on.
SHARE, CONTENT_MARGIN, JUDGED = 0.25, 1.05, 4
#: Of the low-rank part, shares that are tried, the second where the first is no nearer.
SHARES = (1.0, 0.0)
#: Layers of VGG19 whose content loss is judged: what is learnt keeps the first's, and so that shows less
#: than other networks see of what is lost.
JUDGED_CONTENT = (CONTENT_LAYER, "relu5_1")
#: How much farther from the photo than in the instant style a painting is to be (nearer: another network saw up to 17
#: of a hundred more lost), and what more costs in `gain` (measured).
SPENT, PRICE = -0.13, 0.2
#: Photos to learn with, at most; the long side of any picture, in short sides, at most.
PHOTOS, LONGEST = 60, 4
#: Of `content_leak`, where a liked picture's layout shows (`quality.style`).
LEAK = 0.05
#: Content loss that is aimed at, relative to that of the model without the change, and the gain of `next_weight`, step
#: by step.
CONTENT_TARGET, CONTENT_GAIN = 0.92, 0.3
#: Of the change's size, relative to the weights'.
PRIOR = 0.5
GAME = Game(objective="hinge", augment=Augment(p=1.0))
LOSSES = LossWeights(
    content=0.5,
    statistics=6,
    gram=3,
    adversarial=0.2,
    total_variation=0.05,
    range=5,
    identity=0,
    consistency=0,
    leak=0,
)

Tick = Callable[[int, int], None]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What an adaptation came to.

    Attributes:
        codes: style codes to paint with; those given where the instant style is kept.
        adapter: to paint with; ``None`` where the instant style is kept.
        kept: whether the adapted style is.
        why: a sentence on which is kept and why.
        figures: what was measured: distances of ``style`` and ``texture`` to the pictures that were held back, of
            ``content`` to the photos, and the largest ``leak``, each of ``instant`` and ``adapted``.
        steps: that were trained.
        seconds: that it took.
        left_out: sentences on photos that could not be read (`adapt_taste`).
    """

    codes: tuple[StyleCode, ...]
    adapter: Adapter | None
    why: str
    kept: bool = False
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()


class _LowRank(nn.Module):
    """W -> W + B A, reshaped; B starts at 0."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        rank = min(rank, outputs, inputs)
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        self.down = nn.Parameter(torch.randn(rank, inputs, generator=generator) / inputs**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight)


class _Shift(nn.Module):
    """b -> b + d; d starts at 0."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros_like(bias))

    def forward(self, bias: Tensor) -> Tensor:
        return bias + self.shift


class Student(nn.Module):
    """A generator of the bundle, frozen, with trainable changes of its large weights beside it.

    Photos' features are left as they are (the content encoder): what is adapted is how they are painted.
    """

    def __init__(self, generator: Generator, seed: int) -> None:
        super().__init__()
        self.generator = generator.requires_grad_(False).eval()
        keyed = torch.Generator().manual_seed(seed)
        self._sizes: dict[str, float] = {}
        self.changes = nn.ModuleDict()
        for name, weight in list(generator.named_parameters()):
            if weight.numel() < LEAST or name.startswith("content_encoder."):
                continue
            owner, _, part = name.rpartition(".")
            rank = RANK if weight.ndim == 4 else MATRIX_RANK
            change = _Shift(weight) if weight.ndim == 1 else _LowRank(weight, rank, keyed)
            parametrize.register_parametrization(generator.get_submodule(owner), part, change)
            self.changes[name.replace(".", "/")] = change
            self._sizes[name] = float(weight.square().sum())

    def forward(self, photos: Tensor, code: Tensor) -> Tensor:
        """Photos (B, 3, S, S) in [0, 1] under codes (B, D) -> paintings, near [0, 1]; each measured on itself."""
        with parametrize.cached():
            painted: Tensor = self.generator.measure_and_paint(photos, code)[1]
        return painted

    def prior(self) -> Tensor:
        """Mean over the changed weights of the change's square relative to the weight's, a scalar."""
        found = []
        for key, change in self.changes.items():
            size = self._sizes[key.replace("/", ".")]
            if isinstance(change, _LowRank):
                # |B A|² = tr(BᵀB AAᵀ), without the product itself
                power = ((change.up.t() @ change.up) * (change.down @ change.down.t())).sum()
            else:
                power = change.get_parameter("shift").square().sum()
            found.append(power / max(size, 1e-12))
        return torch.stack(found).mean()

    def trained(self) -> list[nn.Parameter]:
        return list(self.changes.parameters())

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The changes as an `Adapter` names them."""
        found: dict[str, npt.NDArray[Any]] = {}
        for key, change in self.changes.items():
            name = f"generator.{key.replace('/', '.')}"
            if isinstance(change, _LowRank):
                found[f"{name}{UP}"] = change.up.detach().numpy().copy()
                found[f"{name}{DOWN}"] = change.down.detach().numpy().copy()
            else:
                found[name] = change.get_parameter("shift").detach().numpy().copy()
        return found


@dataclass(frozen=True)
class _Aim:
    """What outputs under one centre are held to: the mean statistics of its pictures, plain and in luma."""

    views: tuple[StyleTarget, StyleTarget]

    @classmethod
    @torch.no_grad()
    def of(cls, vgg: VGG19, pictures: Sequence[Tensor]) -> _Aim:
        views = []
        for view in (lambda x: x, luma_view):
            seen = [style_target(vgg(view(picture))) for picture in pictures]
            views.append(
                StyleTarget(
                    {layer: torch.stack([one.mean[layer] for one in seen]).mean(0) for layer in STYLE_LAYERS},
                    {layer: torch.stack([one.deviation[layer] for one in seen]).mean(0) for layer in STYLE_LAYERS},
                    {layer: torch.stack([one.gram[layer] for one in seen]).mean(0) for layer in GRAM_LAYERS},
                )
            )
        return cls((views[0], views[1]))


def _targets(aims: Sequence[_Aim], which: Sequence[int]) -> StyleTarget:
    """For a batch: sample i under the aim which[i], in the view that `alternate_views` shows it in."""
    views = [aims[k].views[i % 2] for i, k in enumerate(which)]
    return StyleTarget(
        {layer: torch.cat([view.mean[layer] for view in views]) for layer in STYLE_LAYERS},
        {layer: torch.cat([view.deviation[layer] for view in views]) for layer in STYLE_LAYERS},
        {layer: torch.cat([view.gram[layer] for view in views]) for layer in GRAM_LAYERS},
    )


def _crops(pictures: Sequence[Tensor], which: Sequence[int], rng: np.random.Generator, side: int) -> Tensor:
    """Square crops (B, 3, side, side), some mirrored, of pictures (1, 3, h, w) that are at least that large."""
    found = []
    for i in which:
        height, width = pictures[i].shape[2:]
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        crop = pictures[i][:, :, top : top + side, left : left + side]
        found.append(crop.flip(3) if rng.random() < 0.5 else crop)
    return torch.cat(found)


def held(picture: Picture, side: int) -> Picture:
    """A picture with a short side of ``side``, as learning sees it: of a scroll the middle, `LONGEST` times as long."""
    height, width = picture.shape[2:]
    most = LONGEST * min(height, width)
    top, left = (max(0, length - most) // 2 for length in (height, width))
    height, width = min(height, most), min(width, most)
    picture = picture[:, :, top : top + height, left : left + width]
    scale = side / min(height, width)  # small ones are enlarged: a crop is to fit
    return resize(picture, max(side, round(height * scale)), max(side, round(width * scale)))


def train(
    model: StyleTransferModel,
    codes: Sequence[StyleCode],
    weights: Sequence[float],
    liked: Sequence[Picture],
    members: Sequence[int],
    photos: Sequence[Picture],
    steps: int = STEPS,
    seed: int = 0,
    tick: Tick | None = None,
    vgg: VGG19 | None = None,
    crop: int = CROP,
    tell: Tell | None = None,
) -> tuple[dict[str, npt.NDArray[Any]], int]:
    """The fine-tune itself: the changes, as `Adapter` takes them, and how many steps were made. Ctrl-C ends it early
    with what stands.

    Args:
        codes: of the centres, with their ``weights``: how often each is painted under.
        liked: pictures (1, 3, h, w), and as ``members`` the centre that each belongs to.
        photos: to be painted.
        tell: called with what is done from now on, once there is something that stands, and where Ctrl-C ends it.
    """
    vgg = vgg or VGG19(load_vgg19_weights(), STYLE_LAYERS)
    before = deepcopy(model.generator).requires_grad_(False).eval()
    student = Student(model.generator, seed)
    real = [torch.from_numpy(held(picture, 5 * crop // 2)) for picture in liked]
    scenes = [torch.from_numpy(held(photo, 5 * crop // 2)) for photo in photos]
    aims = [_Aim.of(vgg, [x for x, k in zip(real, members, strict=True) if k == centre] or real)
            for centre in range(len(codes))]  # fmt: skip
    vectors = torch.from_numpy(np.stack([code.vector for code in codes]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the discriminator's first weights; what follows is keyed by step
        discriminator = ProjectedDiscriminator(vgg, 0)
    fast = torch.optim.Adam(student.trained(), LEARNING_RATE, betas=(0.5, 0.99))
    slow = torch.optim.Adam(discriminator.parameters(), DISCRIMINATOR_RATE, betas=(0.0, 0.99))
    average = EMA(student.changes, half_life=10.0 * BATCH)
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    made, keep = 0, LOSSES.content
    try:
        for step in range(steps):
            rng = np.random.default_rng([seed, step])
            centres = rng.choice(len(codes), BATCH, p=shares).tolist()
            x = _crops(scenes, rng.integers(len(scenes), size=BATCH).tolist(), rng, crop)
            patch = _crops(real, rng.integers(len(real), size=BATCH).tolist(), rng, crop)
            for group in (*fast.param_groups, *slow.param_groups):
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * learning_rate(step, steps, 5, 0.1)
            # What the model loses of these very crops, seen alike.
            with torch.no_grad():
                content = normalise_features(vgg(alternate_views(x), [CONTENT_LAYER])[CONTENT_LAYER])
                plain = before.measure_and_paint(x, vectors[centres])[1]
                lost = float(content_loss(vgg(alternate_views(plain), [CONTENT_LAYER])[CONTENT_LAYER], content))
            fake, loses = _generator_step(student, discriminator, vgg, x, content, vectors[centres],
                                          _targets(aims, centres), patch, fast, keep, (seed, step))  # fmt: skip
            keep = next_weight(keep, loses, CONTENT_TARGET * max(lost, 1e-6), LOSSES.content, CONTENT_GAIN)
            loss, _ = GAME.discriminator(discriminator, patch, fake, None, (seed, step))
            slow.zero_grad()
            loss.backward()
            slow.step()
            average.update(student.changes, BATCH)
            made += 1
            if tell and made == 1:
                tell("adapting (Ctrl-C keeps what stands)")
            if tick:
                tick(made, steps)
    except KeyboardInterrupt:  # what stands is judged as it is
        if tell:
            tell("stopping; judging what stands ..." if made else "stopping")
    if made:
        average.copy_to(student.changes)
    return student.tensors(), made


def _generator_step(
    student: Student,
    discriminator: nn.Module,
    vgg: VGG19,
    photos: Tensor,
    content: Tensor,
    codes: Tensor,
    style: StyleTarget,
    patch: Tensor,
    optimiser: torch.optim.Optimizer,
    keep: float,
    key: tuple[int, int],
) -> tuple[Tensor, float]:
    """Moves the student, with ``keep`` as the weight of the content loss, whose normalised features are ``content``;
    returns what it painted (B, 3, S, S), detached, and its content loss."""
    fake = student(photos, codes)
    features = vgg(alternate_views(fake))
    output = style_target(features)
    terms = {
        "content": content_loss(features[CONTENT_LAYER], content),
        "statistics": statistics_loss(output, style),
        "gram": gram_loss(output, style),
        "adversarial": GAME.generator(discriminator, fake, patch, None, key),
        "total_variation": total_variation_loss(fake),
        "range": range_loss(fake),
    }
    loss, _ = total_loss(terms, LOSSES.model_copy(update={"content": keep}))
    optimiser.zero_grad()
    (loss + PRIOR * student.prior()).backward()
    nn.utils.clip_grad_norm_(student.trained(), 10.0)
    optimiser.step()
    return fake.detach(), float(terms["content"].detach())


# ---- is it worth it? -------------------------------------------------------------------------------------------------


def adapt(
    stylizer: Stylizer,
    codes: Sequence[StyleCode],
    weights: Sequence[float],
    liked: Sequence[Picture],
    photos: Sequence[Picture] = (),
    steps: int = STEPS,
    seed: int = 0,
    tick: Tick | None = None,
    crop: int = CROP,
    tell: Tell | None = None,
) -> Outcome:
    """Fine-tunes an adapter on most of the liked pictures, and judges it on the others beside the instant style.

    Args:
        stylizer: whose model is adapted; one for any style.
        codes: the centres of the instant style, with their ``weights``.
        liked: pictures (1, 3, h, w), `LIKED_TO_ADAPT` or more.
        photos: what is painted while it learns; without any, the liked pictures that are not held back.
        steps: of the fine-tune.
        seed: which pictures are held back, and all that chance decides.
        tick: called with the steps that are made, and how many there will be.
        crop: pixels, side of what is painted while it learns; a multiple of 16.
        tell: called with what is done from now on, in words for a person.

    Raises:
        UsageError: too few liked pictures, or a model of one collection.
        ModelError: the model's weights cannot be read.
    """
    began = time.perf_counter()
    check_enough(len(liked))
    model, _ = load_model(stylizer.folder / WEIGHTS)
    if not isinstance(model, StyleTransferModel):
        raise UsageError(f"the model {stylizer.card.model!r} paints one collection; only one for any style is adapted")
    order = np.random.default_rng([seed, 0xADA]).permutation(len(liked)).tolist()
    back = max(1, round(SHARE * len(liked)))
    side = 5 * crop // 2
    kept_back, learnt = ([held(liked[i], side) for i in some] for some in (order[:back], order[back:]))
    judged, scenes = _apart([held(photo, side) for photo in photos] or learnt, seed)
    # Centres are of all liked pictures on both sides; only the adapter has not seen those that are held back.
    seen = [stylizer.encode(picture) for picture in liked]
    members = [nearest(code, codes) for code in seen]
    aims = [_aimed(code, [s for s, k in zip(seen, members, strict=True) if k == i]) for i, code in enumerate(codes)]
    vgg = VGG19(load_vgg19_weights(), STYLE_LAYERS)
    own = [members[i] for i in order[back:]]
    tensors, made = train(model, aims, weights, learnt, own, scenes, steps, seed, tick, vgg, crop, tell)
    if not made:  # there is nothing to judge
        why = "no step was made; the instant style is kept"
        return Outcome(tuple(codes), None, why, seconds=time.perf_counter() - began)
    if tell and made == steps:
        tell("judging ...")
    whole = Adapter.of(tensors, stylizer.card.model)
    judge = _Judge(judged, kept_back, [members[i] for i in order[:back]], liked, side)

    def judged_with(aimed: Sequence[StyleCode], adapter: Adapter | None) -> dict[str, float]:
        return judge(_painted(stylizer, [aimed[k] for k in judge.centres], adapter, judge.scenes))

    instant = judged_with(codes, None)

    found: list[_Candidate] = []
    for share in SHARES:
        adapter = Adapter.blend([(whole, share)])
        found.append(_Candidate(judged_with(aims, adapter), adapter))
        if gain(instant, found[-1].figures) > 0:
            break
    best = _best(instant, found)
    better, why = verdict(instant, best.figures)
    both = {"instant": instant, "adapted": best.figures}
    kept = (tuple(aims), best.adapter) if better else (tuple(codes), None)
    return Outcome(*kept, why, better, both, made, time.perf_counter() - began)


@dataclass(frozen=True)
class _Candidate:
    """What `_Judge` measured of an adapter."""

    figures: Mapping[str, float]
    adapter: Adapter | None


def _best(instant: Mapping[str, float], found: Sequence[_Candidate]) -> _Candidate:
    """Of those that may be kept (of all, where none may) the nearest, less the price of what it takes off the photo."""

    def worth(one: _Candidate) -> tuple[bool, float]:
        over = max(0.0, lost(instant, one.figures) - SPENT)
        return verdict(instant, one.figures)[0], gain(instant, one.figures) - PRICE * over

    return max(found, key=worth)


def _painted(
    stylizer: Stylizer, codes: Sequence[StyleCode], adapter: Adapter | None, scenes: Sequence[Picture]
) -> list[list[Picture]]:
    """Paintings of the scenes, for each code."""
    styles = [Style("adapted", code, adapter=adapter) for code in codes]
    return [[stylizer(scene, style) for scene in scenes] for style in styles]


def check_enough(liked: int) -> None:
    """Raises UsageError where there are too few liked pictures to adapt to."""
    if liked < LIKED_TO_ADAPT:
        raise UsageError(
            f"adapting needs {LIKED_TO_ADAPT} liked pictures or more, some to learn from and some to judge with, and "
            f"there {'is' if liked == 1 else 'are'} {liked}; add more, or keep the instant style"
        )


def gain(instant: Mapping[str, float], adapted: Mapping[str, float]) -> float:
    """How much nearer the adapted style is to the pictures that were held back, in style and texture on average: 0.1
    is a tenth."""
    return 1 - (adapted["style"] / instant["style"] + adapted["texture"] / instant["texture"]) / 2


def lost(instant: Mapping[str, float], adapted: Mapping[str, float]) -> float:
    """How much farther from the photos the adapted style is: 0.1 is a tenth."""
    return adapted["content"] / instant["content"] - 1


def verdict(instant: Mapping[str, float], adapted: Mapping[str, float]) -> tuple[bool, str]:
    """Whether the adapted style is better than the instant one, by the `figures` of both; and a sentence on it."""
    nearer, farther = gain(instant, adapted), lost(instant, adapted)
    if adapted["leak"] > max(LEAK, instant["leak"] + 0.01):
        return False, "the adapted style shows the layout of a liked picture; the instant style is kept"
    if nearer <= 0:
        return False, (
            f"on liked pictures that were held back the adapted style is no nearer ({abs(nearer):.1%} farther); the "
            "instant style is kept"
        )
    if farther > CONTENT_MARGIN - 1:
        return (
            False,
            f"the adapted style keeps less of the photo ({farther:.0%} farther from it); the instant one is kept",
        )
    return True, f"the adapted style is {nearer:.1%} nearer to liked pictures that were held back, and is kept"


def nearest(code: StyleCode, codes: Sequence[StyleCode]) -> int:
    """The place of the centre that a picture's code is nearest to."""

    def distance(other: StyleCode) -> float:
        if code.look is None or other.look is None:
            return code.distance(other)
        return float(np.square(code.look - other.look).sum())

    return min(range(len(codes)), key=lambda k: distance(codes[k]))


def _aimed(centre: StyleCode, members: Sequence[StyleCode]) -> StyleCode:
    """A centre with the look and the range of colours that are nearest to its members' on average: the means of their
    means, deviations and covariances, where a centre's own are means of logarithms and of roots, and so lower."""
    look = _mean_look(members)
    if centre.look is None or look is None:
        return centre
    place = next(part.place for part in code_parts(len(centre)) if part.name == "colour_spread")
    covariance = np.zeros((3, 3))
    for code in members:
        root = symmetric(code.vector[place].astype(np.float64), 3)
        covariance += root @ root / len(members)
    sizes, axes = np.linalg.eigh(covariance)
    vector = centre.vector.copy()
    vector[place] = ((axes * np.sqrt(np.maximum(sizes, 0))) @ axes.T)[np.triu_indices(3)]
    return StyleCode(vector, centre.model, look)


def _mean_look(codes: Sequence[StyleCode]) -> npt.NDArray[np.float32] | None:
    """The look of the mean of means and deviations, and not of their logarithms; ``None`` where none has a look."""
    looks = [code.look for code in codes if code.look is not None]
    return np.log1p(np.mean(np.expm1(looks), 0)) if looks else None


def _apart(photos: Sequence[Picture], seed: int) -> tuple[list[Picture], list[Picture]]:
    """Photos to judge on, and others to learn with; the same ones where there are few."""
    order = np.random.default_rng([seed, 0xF0]).permutation(len(photos)).tolist()
    shuffled = [photos[i] for i in order]
    if len(shuffled) < 2 * JUDGED:
        return shuffled[:JUDGED], shuffled
    return shuffled[:JUDGED], shuffled[JUDGED:]


class _Judge:
    """Measures paintings of some scenes against liked pictures that were held back, with VGG19.

    Attributes:
        scenes: (1, 3, h, w), what is to be painted.
        centres: the places of those under which it is to be: of the others no picture was held back.
    """

    def __init__(
        self,
        photos: Sequence[Picture],
        kept_back: Sequence[Picture],
        members: Sequence[int],
        liked: Sequence[Picture],
        side: int,
    ) -> None:
        """``members`` are the centres of those held back; ``side`` is the short side, in pixels, of all pictures."""
        self.vgg = VGG19(load_vgg19_weights(), (*STYLE_LAYERS, *JUDGED_CONTENT))
        self.scenes = [held(photo, side) for photo in photos]
        self.content = [[normalise_features(f) for f in self._seen(scene)[2]] for scene in self.scenes]
        self.works = [self._seen(held(work, side)) for work in kept_back]
        self.centres, self.members = sorted(set(members)), members
        self.layouts = [Layout.of(picture) for picture in liked]

    @torch.no_grad()
    def _seen(self, picture: Picture) -> tuple[StyleTarget, StyleTarget, list[Tensor]]:
        x = torch.from_numpy(picture)
        features = self.vgg(x)
        content = [features[layer] for layer in JUDGED_CONTENT]
        return style_target(features), style_target(self.vgg(luma_view(x), STYLE_LAYERS)), content

    def __call__(self, painted: Sequence[Sequence[Picture]]) -> dict[str, float]:
        """Of the scenes' paintings, for each of `centres`."""
        style, texture, content, leak = [], [], [], [0.0]
        for centre, pictures in zip(self.centres, painted, strict=True):
            for picture, scene, there in zip(pictures, self.scenes, self.content, strict=True):
                plain, luma, features = self._seen(picture)
                content += [float(content_loss(a, b)) for a, b in zip(features, there, strict=True)]
                leak += [content_leak(picture, scene, layout) for layout in self.layouts]
                for (work, work_luma, _), member in zip(self.works, self.members, strict=True):
                    if member == centre:
                        style.append(float(statistics_loss(plain, work)))
                        texture.append(float(gram_loss(luma, work_luma)))
        return {
            "style": float(np.mean(style)),
            "texture": float(np.mean(texture)),
            "content": float(np.mean(content)),
            "leak": max(leak),
        }


# ---- of a taste ------------------------------------------------------------------------------------------------------


def adapt_taste(
    taste: Taste,
    liked: Sequence[Path],
    stylizer: Stylizer,
    content: Sequence[Path] = (),
    steps: int = STEPS,
    seed: int = 0,
    tick: Tick | None = None,
    crop: int = CROP,
    tell: Tell | None = None,
) -> tuple[Taste, Outcome]:
    """What `sfumato personal adapt` does: the taste with an adapter where that is better, and a sentence on it.

    Args:
        taste: as it was learnt at once, without an adapter.
        liked: the files of its liked pictures, `LIKED_TO_ADAPT` or more.
        stylizer: of the taste's model.
        content: files of photos to paint while it learns, as the person's own are; at most `PHOTOS` of them are taken,
            and what cannot be read is left out.
        steps, seed, tick, crop, tell: as `adapt`.

    Returns:
        The taste, with its centres aimed anew and the adapter, or as it was; in both its
        ``scores`` have what was measured under ``"adapted"``.

    Raises:
        InputError: a liked picture cannot be read, or no photo.
        UsageError: as `adapt`.
        ModelError: the taste is another model's.
    """
    stylizer.check_style(taste.style)
    order = np.random.default_rng([seed, 0xC0]).permutation(len(content)).tolist()
    pictures = [_read(path, 5 * crop // 2) for path in liked]
    photos, unreadable = _readable([content[i] for i in order], 5 * crop // 2)
    outcome = adapt(stylizer, taste.codes, taste.weights, pictures, photos, steps, seed, tick, crop, tell)
    told = {
        "kept": outcome.kept,
        "why": outcome.why,
        "steps": outcome.steps,
        "figures": {name: {key: round(x, 4) for key, x in of.items()} for name, of in outcome.figures.items()},
    }
    adapter = {} if outcome.adapter is None else outcome.adapter.tensors()
    scores = {**taste.scores, "adapted": told}
    # Beside the scores, which travel with the style: these sentences name files.
    return replace(taste, codes=outcome.codes, adapter=adapter, scores=scores), replace(outcome, left_out=unreadable)


def _readable(paths: Sequence[Path], side: int) -> tuple[list[Picture], tuple[str, ...]]:
    """The first `PHOTOS` of them that can be read, and what is wrong with those before that cannot."""
    found: list[Picture] = []
    wrong = []
    for path in paths:
        try:
            found.append(_read(path, side))
        except InputError as problem:
            wrong.append(str(problem))
        if len(found) == PHOTOS:
            break
    if wrong and not found:
        raise InputError(f"none of the {len(wrong)} photos can be read; the first: {wrong[0]}")
    return found, tuple(wrong)


def _read(path: Path, side: int) -> Picture:
    """A picture as it is learnt from: no larger than it is looked at."""
    picture = read_image(path)
    return held(picture, side) if min(picture.shape[2:]) > side else picture
