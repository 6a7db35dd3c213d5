"""The training task of the collection kind: photos in the style of one collection, from unpaired pictures.

The discriminator distinguishes outputs from the collection's paintings. The photo's content is preserved by PatchNCE
(CUT, Park et al. 2020), or by cycle consistency (CycleGAN, Zhu et al. 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.data.batches import Batch, BatchSource
from sfumato.data.folders import FolderReport
from sfumato.data.pool import ImagePool
from sfumato.losses.adversarial_terms import discriminator_loss, generator_loss
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.losses.contrastive import patch_nce
from sfumato.losses.perceptual import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    alternate_views,
    content_loss,
    gram_loss,
    identity_loss,
    range_loss,
    statistics_loss,
    style_target,
)
from sfumato.losses.total_loss import total_loss
from sfumato.networks.collection_generator import CollectionGenerator, unrecorded
from sfumato.networks.discriminator import OfPhotos
from sfumato.networks.model import CollectionModel, build_collection_discriminator
from sfumato.networks.patch_head import draw_positions
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.probes import Painter, Probes
from sfumato.training.step import GeneratorOutput, consistency
from sfumato.training.targets import Targets
from sfumato.training.tasks import (
    RecordTime,
    TrainingTask,
    load_vgg,
    pick_evenly,
    probe_pictures,
    require_photos,
    to_device,
)

_STREAM = 4  # random stream for PatchNCE's positions; 0 and 1 are used by batches, 2 by validation, 3 by the pool


class CollectionTask(TrainingTask[CollectionModel, Batch]):
    """Training of a `CollectionModel` against an unconditional discriminator, or with a cycle against two.

    As in the arbitrary kind, norm_params are measured on a thumbnail, and a crop at another scale is painted with them:
    inference paints pictures of any size in tiles in the same way. `config.identity_samples` is the number of paintings
    in a step that also pass through the generator, which must not change them.
    """

    def __init__(
        self,
        config: TrainConfig,
        content: FolderReport | None,
        style: FolderReport,
        device: torch.device,
        cache: Path | None = None,
        vgg_file: Path | None = None,
    ) -> None:
        """Build networks and data; VGG19 is loaded here only if the discriminator or the losses need it."""
        content = require_photos(content)
        self.config, self.device, self.vgg_file = config, device, vgg_file
        self.digests = {"content": content.digest, "style": style.digest}
        self.model = to_device(self.new_model(), device)
        has_targets = bool(config.weights.statistics or config.weights.gram or config.weights.content)
        projected = config.collection.discriminator == "projected"
        self.vgg = load_vgg(vgg_file, device, STYLE_LAYERS) if has_targets or projected else None
        self.discriminator = to_device(build_collection_discriminator(config.collection, self.vgg), device)
        self.source = BatchSource(content, style, config.seed, device)
        self.targets: Targets | None = None
        if has_targets and self.vgg:
            self.targets = Targets(self.vgg, self.source, [picture.sha256 for picture in style.pictures], cache)
        sides = ("paintings", "photos") if config.collection.cycle else ("paintings",)
        self.pools = {side: ImagePool(config.pool, config.seed) for side in sides}

    def new_model(self) -> CollectionModel:
        """Build a model of the config's shape."""
        return CollectionModel(self.config.collection)

    def draw(self, step: int, phase: Phase, record_time: RecordTime) -> Batch:
        """Draw a step's pictures."""
        batch = self.source.batch(step, self.config.spec(phase), self.rows)
        record_time("data")
        return batch

    def generator_step(
        self,
        model: CollectionModel,
        opponent: nn.Module | None,
        batch: Batch,
        weights: LossWeights,
        adversarial: AdversarialConfig,
        step: int,
    ) -> GeneratorOutput:
        """Compute the losses of the generator and, with a cycle, of the one back to photos."""
        generator, key, rows = model.generator, (self.config.seed, step), batch.rows
        norm_params, small = generator.measure_and_paint(batch.thumbnail)
        fake = generator(batch.crop, norm_params)
        terms = {"range": range_loss(fake)}
        if self.targets:
            features = self.targets.vgg(alternate_views(fake, rows))
            statistics = style_target(features)
            with torch.autocast(self.device.type, enabled=False):  # cached tables must not depend on the precision
                wanted = self.targets.style(batch.style_ids, rows)
            terms |= {"statistics": statistics_loss(statistics, wanted), "gram": gram_loss(statistics, wanted)}
            if weights.content:
                content = self.targets.content(batch, remember=self.config.crops_per_photo > 0)
                terms["content"] = content_loss(features[CONTENT_LAYER], content)
        if opponent is not None:
            terms["adversarial"] = generator_loss(adversarial, opponent, fake, batch.patch, None, key, rows)
        if batch.zoom_count:
            terms["consistency"] = consistency(generator, batch, norm_params, small)
        back: Tensor | None = None
        thumbnails = _as_large(batch.style, batch.thumbnail)
        if model.back is not None:
            back_norm_params, back_small = model.back.measure_and_paint(thumbnails)
            back = model.back(batch.patch, back_norm_params)
            terms["range"] = terms["range"] + range_loss(back)
            if opponent is not None:
                to_photos = generator_loss(adversarial, OfPhotos(opponent), back, batch.crop, None, key, rows)
                terms["adversarial"] = terms["adversarial"] + to_photos
        with unrecorded(*filter(None, (generator, model.back))):
            if model.back is not None and back is not None:
                photos = _again(model.back, fake, small)
                paintings = _again(generator, back, back_small)
                terms["cycle"] = (photos - batch.crop).abs().mean() + (paintings - batch.patch).abs().mean()
            if model.heads is not None and weights.contrast:
                terms["contrast"] = self._contrast(model, fake, batch.crop, step)
            if count := min(self.config.identity_samples, batch.count):
                own = batch.patch[: rows.first(count)]
                same = _again(generator, own, thumbnails[: len(own)]) if len(own) else own
                terms["identity"] = rows.part(count, lambda _: identity_loss(same, own), fake)
                if model.back is not None:
                    back_again = partial(_identity, model.back, batch)
                    terms["identity"] = terms["identity"] + rows.part(count, back_again, fake)
                if model.heads is not None and weights.contrast_identity:
                    contrast = rows.part(count, lambda _: self._contrast(model, same, own, step), fake)
                    terms["contrast_identity"] = contrast
        loss, report = total_loss(terms, weights)
        return GeneratorOutput(loss, report, fake.detach(), None, None if back is None else back.detach())

    def _contrast(self, model: CollectionModel, outputs: Tensor, inputs: Tensor, step: int) -> Tensor:
        """Return PatchNCE between outputs and inputs (B, 3, S, S), the mean over layers, a scalar.

        Features are normalised by the pictures' own statistics, as in CUT, so that a change of palette costs nothing.
        """
        assert model.heads is not None, "PatchNCE needs heads"
        queries = model.generator.features(outputs)
        number = int(np.random.default_rng([self.config.seed, _STREAM, step]).integers(2**62))
        places = draw_positions(queries, self.config.patches, torch.Generator().manual_seed(number))
        with torch.no_grad():
            keys = model.heads(model.generator.features(inputs), places)
        pairs = zip(model.heads(queries, places), keys, strict=True)
        return torch.stack([patch_nce(query, key) for query, key in pairs]).mean()

    def discriminator_step(
        self, discriminator: nn.Module, batch: Batch, output: GeneratorOutput, adversarial: AdversarialConfig, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of the discriminator of paintings and, with a cycle, of that of photos."""
        key = (self.config.seed, step)
        pooled = self._from_pool("paintings", output.fake, step)
        loss, report = discriminator_loss(adversarial, discriminator, batch.patch, pooled, None, key, rows=batch.rows)
        if output.back is not None:
            pooled, photo_discriminator = self._from_pool("photos", output.back, step), OfPhotos(discriminator)
            other, of_photos = discriminator_loss(
                adversarial, photo_discriminator, batch.crop, pooled, None, key, rows=batch.rows
            )
            loss, report = loss + other, report | {f"photos_{name}": value for name, value in of_photos.items()}
        return loss, report

    def _from_pool(self, side: str, fakes: Tensor, step: int) -> Tensor:
        pool = self.pools[side]
        pooled = self.rows.pick(pool.exchange(self.rows.gather(fakes), step)) if pool.size else fakes
        # Rounding in convolutions depends on the memory format, which differs after a resume.
        return pooled.contiguous(memory_format=torch.channels_last)

    def tensors(self) -> dict[str, Tensor]:
        """Return the pictures of the pools."""
        return {f"{side}.{name}": t for side, pool in self.pools.items() for name, t in pool.tensors().items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the pools from `tensors()`."""
        for side, pool in self.pools.items():
            # Cut to the pool's size: --set may have made the pool smaller.
            stored = {"pictures": tensors[f"{side}.pictures"][: pool.size]} if f"{side}.pictures" in tensors else {}
            pool.restore({name: tensor.to(self.device) for name, tensor in stored.items()}, pool.numbers())

    def probes(self) -> Probes | None:
        """Return the monitor's probes; None with fewer than two photos or paintings."""
        photos, paintings = probe_pictures(self.source.content), probe_pictures(self.source.style)
        if min(len(photos), len(paintings)) < 2:
            return None
        return Probes(self.vgg or load_vgg(self.vgg_file, self.device), photos=photos, paintings=paintings)

    def painter(self, model: CollectionModel) -> Painter:
        """Return a function that paints the probe photos."""
        photos = probe_pictures(self.source.content)
        return lambda _style: model.generator(photos, model.generator.measure(photos))

    def paintings(self, batch: Batch) -> Tensor:
        """Return the crops of paintings."""
        return batch.patch

    def samples(self, averaged: CollectionModel) -> list[list[Tensor]]:
        """Return six photos above their paintings; with a cycle, also six paintings above their photos."""
        sides = [(self.source.content, averaged.generator)]
        if averaged.back is not None:
            sides.append((self.source.style, averaged.back))
        rows = []
        for held, generator in sides:
            pictures = [picture[None].float() / 255 for picture in pick_evenly(held, 6)]
            rows += [pictures, [generator(x, generator.measure(x)).clamp(0, 1) for x in pictures]]
        width = max(len(row) for row in rows)
        blank = torch.ones(1, 3, 64, 64)
        return [[*row, *[blank] * (width - len(row))] for row in rows]


def _identity(back: CollectionGenerator, batch: Batch, count: int) -> Tensor:
    """Return the identity loss of the first `count` photos under the generator to photos, a scalar."""
    photos = batch.crop[:count]
    return identity_loss(_again(back, photos, batch.thumbnail[:count]), photos)


def _as_large(pictures: Tensor, others: Tensor) -> Tensor:
    """Resize pictures (B, 3, T, T) to the size of `others`."""
    size = (others.shape[2], others.shape[3])
    if pictures.shape[2:] == size:
        return pictures
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)


def _again(generator: CollectionGenerator, pictures: Tensor, thumbnails: Tensor) -> Tensor:
    """Paint pictures (B, 3, S, S) with the norm_params of their thumbnails."""
    painted: Tensor = generator(pictures, generator.measure(thumbnails))
    return painted
