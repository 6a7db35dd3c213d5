"""The evaluator of outputs as sets: against references, by a classifier, and by the method's own discriminator."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sfumato.errors import UsageError
from sfumato.files import atomic_file
from sfumato.image import Picture, read_image
from sfumato.quality.backbones import Backbone
from sfumato.quality.cache import VERSION, EvaluatedPair, cache_key
from sfumato.quality.classifier import balanced_accuracy, fresh_classifier_accuracy
from sfumato.quality.features import Estimate, Features
from sfumato.quality.pairs import Pair
from sfumato.quality.sets import as_set, diversity, set_estimates
from sfumato.quality.workers import each


class SetEvaluator:
    """Evaluator of sets of outputs, which computes the features of reference pictures only once.

    Args:
        backbones: Networks whose pooled features are compared.
        references: Pictures that the outputs are compared with.
        style_files: All style pictures.
        digest: Returns the hash of a picture's file.
        workers: Number of threads.
        cache: Folder for features; None disables it.
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        references: Sequence[Path],
        style_files: Sequence[Path],
        digest: Callable[[Path], str],
        workers: int,
        cache: Path | None,
    ) -> None:
        self.backbones = list(backbones)
        self._references, self._style_files = list(references), list(style_files)
        self._digest, self._workers, self._cache = digest, workers, cache
        self._pooled = lru_cache(None)(self._read_pooled)
        self._logits: dict[str, list[float]] = {}  # logits of the style pictures, by the method's digest

    def estimates(
        self, backbone: Backbone, pairs: Sequence[Pair], evaluated: Sequence[EvaluatedPair]
    ) -> list[Estimate]:
        """Return all set measures of the outputs with one backbone.

        Their notes hold the values between two halves of the references, and the diversity of real pictures.
        """
        place = self.backbones.index(backbone)
        outputs, probabilities = as_set(backbone.name, [one.members[place] for one in evaluated])
        references = self._set_of(backbone, self._references)
        estimates = set_estimates(outputs, references, probabilities)
        one, other = (Features(backbone.name, references.arrays[start::2]) for start in (0, 1))
        floor = (
            {estimate.name: estimate.value for estimate in set_estimates(one, other)} if len(other.arrays) > 1 else {}
        )
        for i, estimate in enumerate(estimates):
            if np.isfinite(real := floor.get(estimate.name, np.nan)) and np.isfinite(estimate.value):
                floor_note = f"real against real, two halves of the references: {real:.3g}"
                estimates[i] = replace(estimate, note="; ".join(filter(None, [estimate.note, floor_note])))
        estimates.append(self._classifier(backbone, pairs, outputs))
        for name, groups, real_files in (
            ("diversity over photos", [pair.style for pair in pairs], sorted({pair.content for pair in pairs})),
            ("diversity over styles", [pair.content for pair in pairs], sorted({pair.style for pair in pairs})),
        ):
            own, there = diversity(outputs, groups), float("nan")
            if len(real_files) > 1:
                there = diversity(self._set_of(backbone, real_files), [0] * len(real_files))
            note = f"of the {name.rpartition(' ')[2]} themselves: {there:.3f}"
            estimates.append(Estimate(name, own, None, None, len(pairs), backbone.name, note))
        return estimates

    def discriminator_accuracy(
        self,
        logit: Callable[[Picture, Path], float],
        who: str,
        pairs: Sequence[Pair],
        evaluated: Sequence[EvaluatedPair],
    ) -> Estimate:
        """Return the balanced accuracy of the method's own discriminator on style pictures and outputs.

        Args:
            logit: Returns its mean logit for a picture and the file of its style picture; above 0 means "real".
            who: Digest of the method.
            pairs: The evaluated pairs.
            evaluated: Their results, which hold the logits of the outputs.
        """
        if who not in self._logits:
            self._logits[who] = each(lambda path: logit(read_image(path), path), self._style_files, self._workers)
        groups = [pair.style for pair in pairs]
        note = "the discriminator that the model was trained against; 0.5 where it cannot tell them apart"
        outputs = [one.logit for one in evaluated if one.logit is not None]
        return balanced_accuracy("discriminator_accuracy", self._logits[who], outputs, groups, who[:12], None, note)

    def _classifier(self, backbone: Backbone, pairs: Sequence[Pair], outputs: Features) -> Estimate:
        """Return the accuracy of a new classifier.

        The group of a reference is its own file, so a style picture shares its group with the outputs in its style.
        """
        references = self._set_of(backbone, self._references)
        try:
            return fresh_classifier_accuracy(references, outputs, self._references, [pair.style for pair in pairs])
        except UsageError as problem:
            n = min(len(references.arrays), len(pairs))
            return Estimate("classifier_accuracy", float("nan"), None, None, n, backbone.name, f"refused: {problem}")

    def _set_of(self, backbone: Backbone, paths: Sequence[Path]) -> Features:
        """Return the pooled features of picture files."""
        members = each(lambda path: self._pooled(path, self.backbones.index(backbone)), paths, self._workers)
        return Features(backbone.name, np.stack(members))

    def _read_pooled(self, path: Path, place: int) -> npt.NDArray[np.float32]:
        """Return the pooled features of a picture file, from the cache where possible."""
        backbone = self.backbones[place]
        if self._cache is None:
            return backbone.pooled(read_image(path)).features
        file = self._cache / f"{cache_key([VERSION, backbone.name, self._digest(path)])}.npy"
        try:
            return np.asarray(np.load(io.BytesIO(file.read_bytes()), allow_pickle=False), np.float32)
        except (OSError, ValueError, EOFError):  # the file is missing or damaged
            found = backbone.pooled(read_image(path)).features
            with atomic_file(file) as out:
                np.save(out, found)
            return found
