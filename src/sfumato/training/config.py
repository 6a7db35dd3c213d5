"""The config of a training run: TOML recipes, validated before torch is imported, and saved with the run."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias, get_args

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from sfumato.config import Config, apply_overrides, load_toml
from sfumato.errors import UsageError
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.networks.config import CollectionConfig, MatchingConfig, ModelConfig, NoiseConfig
from sfumato.training.monitor import MonitorConfig

if TYPE_CHECKING:
    from sfumato.data.batches import BatchSpec

RECIPES = ("tiny", "laptop", "flagship")
KindName: TypeAlias = Literal["arbitrary", "collection", "noise", "matching"]
#: The loss terms of a collection's training; the others need a style code.
COLLECTION_TERMS = (
    "adversarial",
    "content",
    "contrast",
    "contrast_identity",
    "cycle",
    "identity",
    "consistency",
    "range",
    "statistics",
    "gram",
)
#: The loss terms of the matching kind.
MATCHING_TERMS = ("adversarial", "range", "reconstruction", "reconstruction_features", "matched", "lattice")
#: Overrides that change a collection's recipe from PatchNCE (CUT) to a cycle, with the weights and pool of CycleGAN.
CYCLE = (
    "collection.cycle=true",
    "weights.cycle=10",
    "weights.identity=5",
    "weights.contrast=0",
    "weights.contrast_identity=0",
    "pool=50",
)


class Phase(Config):
    """A part of training with sizes of its own. The list of phases is the whole schedule.

    Attributes:
        thumbnails: sides in pixels of the square thumbnails on which norm_params are measured; one is drawn each step.
    """

    steps: PositiveInt  # number of steps
    batch: PositiveInt = 4  # samples in a step
    crop: int = 128  # side of the crops in pixels, a multiple of 8
    adversarial: bool = True  # whether the discriminator takes part
    # Several sides, which cover those of inference, so that training does not specialise in one.
    thumbnails: Annotated[tuple[Annotated[int, Field(ge=16)], ...], Field(min_length=1)] = (160, 224, 320)
    zoom_crops: NonNegativeInt = 1  # samples in a step with a crop of the enlarged photo, for weights.consistency
    magnification: Annotated[float, Field(ge=1)] = 12.0  # largest factor by which such a photo is enlarged

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crop % 8 or self.crop < 32:
            raise ValueError(f"crop must be a multiple of 8 and at least 32, but is {self.crop}")
        return self


class TrainConfig(Config):
    """The whole config of a training run."""

    recipe: str = "custom"  # name of the recipe, or of its file; set by the command
    kind: KindName = "arbitrary"  # kind of the model: any style, one collection, pictures from noise, or a decoder
    seed: NonNegativeInt = 0  # seed of all random choices
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]  # the phases of training in order
    model: ModelConfig = ModelConfig()  # shapes of the networks; arbitrary kind only
    collection: CollectionConfig = CollectionConfig()  # shapes of the networks; collection kind only
    patches: PositiveInt = 256  # positions in each layer that PatchNCE compares; collection kind only
    pool: NonNegativeInt = 0  # size of the pool of earlier outputs for the discriminator; collection kind only
    noise: NoiseConfig = NoiseConfig()  # shapes of the networks; noise kind only
    matching: MatchingConfig = MatchingConfig()  # shapes of the networks; matching kind only
    balance: Annotated[float, Field(ge=0, le=1)] = 0.7  # matching only; 0: nearest neighbours, 1: all features are used
    fused: Annotated[float, Field(ge=0, le=1)] = 0.3  # matching only; share of samples at a random strength, not at 1
    weights: LossWeights = LossWeights()  # weights of the generator's loss terms
    adversarial: AdversarialConfig = AdversarialConfig()  # GAN loss, gradient penalties and augmentation
    learning_rate: PositiveFloat = 1e-3  # the generator's learning rate (Adam)
    discriminator_learning_rate: PositiveFloat = 4e-4  # the discriminator's (Adam); lower, so that it does not win
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # Adam's β1 of the generator; the discriminator's is 0
    warmup: PositiveInt = 50  # steps of linear warm-up
    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.05  # end of the cosine, as a share of learning_rate
    clip: PositiveFloat = 10.0  # largest norm of the generator's gradient; larger gradients are clipped
    ema_half_life: PositiveFloat = 4000.0  # half-life of the moving average of the weights, in pictures
    identity_samples: NonNegativeInt = 2  # samples in a step for weights.identity, half photos and half paintings
    crops_per_photo: NonNegativeInt = 0  # number of crops of each photo, with cached features; 0: always new crops
    short_side: Annotated[int, Field(ge=64)] = 320  # short side at which pictures are held, in pixels
    painting_short_side: Annotated[int, Field(ge=64)] | None = None  # the same for paintings; None: as `short_side`
    mixed_precision: Literal["no", "bf16"] = "no"  # autocast; fp16's range is too small for VGG19's features
    checkpoint_every: PositiveInt = 200  # steps from one checkpoint to the next
    sample_every: PositiveInt = 200  # steps from one sheet of samples to the next
    log_every: PositiveInt = 10  # steps from one line of the log to the next
    # The monitor (training/monitor.py) observes the signals of each logged step and, less often, probe pictures.
    monitor: MonitorConfig = MonitorConfig()  # settings of the monitor
    probe_every: NonNegativeInt = 50  # steps between measurements of the probes, a multiple of log_every; 0: none
    started_from: str = ""  # SHA-256 of the initial weights, set by --from; empty for random ones

    # Validation (training/validation.py), if there are pictures for it
    validation_pairs: NonNegativeInt = 24  # number of pairs of a photo and a painting; 0 turns validation off
    validation_side: Annotated[int, Field(ge=32)] = 192  # short side of validation pictures, in pixels
    validate_every: NonNegativeInt = 0  # steps from one validation to the next; 0: with each checkpoint
    hold_out: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the pictures that is held out for validation
    content_exchange: NonNegativeFloat = 0.5  # cost of a unit of content distance in units of style distance
    patience: NonNegativeInt = 0  # validations without improvement in the last phase before stopping; 0: never stop
    min_improvement: NonNegativeFloat = 0.002  # least decrease of the score that counts as an improvement
    content_target: NonNegativeFloat = 0.0  # content distance to reach by adapting weights.content; 0: fixed weight
    controller_gain: PositiveFloat = 0.5  # gain of the controller of weights.content; too large a gain oscillates

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.content_target and not (self.weights.content and self.validation_pairs):
            raise ValueError("content_target needs weights.content and validation_pairs above 0")
        if self.validation_pairs == 1:
            raise ValueError("validation_pairs must be 0 or at least 2: distances are relative to those of paintings")
        return self

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind == "arbitrary":
            if any(phase.adversarial and phase.batch < 2 for phase in self.phases):
                raise ValueError(
                    "an adversarial phase needs a batch of 2 or more, because each painting is paired with another's "
                    "code"
                )
        elif self.kind == "collection":
            self._check_collection()
        elif self.kind == "matching":
            self._check_matching()
        else:
            self._check_noise()
        return self

    def _check_terms(self, known: tuple[str, ...], where: str) -> None:
        usual = LossWeights()
        if self.weights.alpha is not None and not {"content", "statistics", "gram"} <= set(known):
            raise ValueError(f"weights.alpha has no part in {where}; its terms are {', '.join(known)}")
        foreign = [name for name in usual.model_dump() if name not in known]
        if changed := [name for name in foreign if getattr(self.weights, name) not in (0, getattr(usual, name))]:
            raise ValueError(f"weights.{changed[0]} has no part in {where}; its terms are {', '.join(known)}")

    def _check_matching(self) -> None:
        self._check_terms(MATCHING_TERMS, "matching")
        if not (self.weights.reconstruction and self.weights.matched):
            raise ValueError("matching needs weights.reconstruction and weights.matched above 0")
        if self.content_target:
            raise ValueError("content_target adapts weights.content, which matching does not have; leave it at 0")

    def _check_collection(self) -> None:
        weights = self.weights
        self._check_terms(COLLECTION_TERMS, "a collection")
        if self.content_target:
            raise ValueError("content_target needs validation, which collections do not have; leave it at 0")
        if self.collection.cycle and (weights.contrast or weights.contrast_identity or not weights.cycle):
            raise ValueError(
                "a collection with a cycle must have weights.cycle above 0, and weights.contrast and "
                "weights.contrast_identity 0; --cycle sets them"
            )
        if not self.collection.cycle and (weights.cycle or not (weights.contrast or weights.content)):
            raise ValueError(
                "a collection without a cycle must have weights.contrast or weights.content above 0, and weights.cycle "
                "0"
            )

    def _check_noise(self) -> None:
        if self.weights.alpha is not None:
            raise ValueError("weights.alpha has no part in kind noise; its terms are adversarial and energy")
        if not (self.weights.adversarial and all(phase.adversarial for phase in self.phases)):
            raise ValueError(
                "a generator of kind noise learns from the discriminator alone: weights.adversarial must be above 0 "
                "and every phase adversarial"
            )
        if self.weights.energy and self.noise.generator != "features":
            raise ValueError("weights.energy compares feature maps; noise.generator must be features, or it must be 0")
        if self.weights.energy and any(phase.batch < 2 for phase in self.phases):
            raise ValueError("weights.energy compares the samples of a step; every batch must be 2 or more")
        if self.content_target:
            raise ValueError("content_target is for kinds that paint photos; leave it at 0 for kind noise")
        if self.short_side < self.noise.side:
            raise ValueError(f"short_side must be noise.side ({self.noise.side}) or more, but is {self.short_side}")

    @property
    def has_photos(self) -> bool:
        """Whether training needs photos, besides paintings."""
        return self.kind != "noise"

    @property
    def is_validated(self) -> bool:
        """Whether the run is validated, if there are pictures for it."""
        return self.kind in ("arbitrary", "matching") and self.validation_pairs > 0

    @property
    def painting_side(self) -> int:
        """Short side at which paintings are held, in pixels; smaller paintings are not enlarged."""
        return self.painting_short_side or self.short_side

    @property
    def validation_interval(self) -> int:
        """Steps from one validation to the next."""
        return self.validate_every or self.checkpoint_every

    @property
    def steps(self) -> int:
        """Number of steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> Phase:
        """Return the phase of a step, counted from 0."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]

    def spec(self, phase: Phase) -> BatchSpec:
        """Return the sizes of a phase's batches."""
        from sfumato.data.batches import BatchSpec  # imported here, because it imports torch

        return BatchSpec(
            phase.batch, phase.crop, phase.thumbnails, phase.zoom_crops, phase.magnification, self.crops_per_photo
        )


def load_recipe(recipe: str, overrides: list[str] | None = None, kind: str | None = None) -> TrainConfig:
    """Load a recipe and apply overrides.

    Args:
        recipe: name (tiny, laptop, flagship), or path of a .toml file.
        overrides: `key=value` strings, for example `weights.content=0.1`.
        kind: kind of the model, which selects among the recipes of one name (None: arbitrary). A file may give its
            kind itself.

    Raises:
        UsageError: there is no such recipe or kind, the values are wrong, or the file is of another kind.
    """
    if kind is not None and kind not in get_args(KindName):
        raise UsageError(f"there is no kind {kind!r}; give one of {', '.join(get_args(KindName))}")
    if recipe in RECIPES:
        name = recipe if kind in (None, "arbitrary") else f"{kind}-{recipe}"
        with resources.as_file(resources.files("sfumato.training") / "recipes" / f"{name}.toml") as path:
            values = load_toml(path)
    elif Path(recipe).suffix == ".toml":
        values = load_toml(Path(recipe))
        if kind is not None:
            values.setdefault("kind", kind)
    else:
        raise UsageError(f"there is no recipe {recipe!r}; give one of {', '.join(RECIPES)} or the path of a .toml file")
    # Only the file's name: cards are published and should not reveal folders.
    named = {"recipe": recipe if recipe in RECIPES else Path(recipe).name}
    config = TrainConfig.parse({**named, **apply_overrides(values, overrides or [])}, f"Recipe {recipe}")
    if kind not in (None, config.kind):
        raise UsageError(f"{recipe} is a recipe of the kind {config.kind!r}; leave --kind out, or give that kind")
    return config


def check_processes(config: TrainConfig, processes: int) -> None:
    """Check that the batches of a run can be divided among several processes.

    Raises:
        UsageError: a batch is not a multiple of `processes`, or too small for the energy distance, or normalisation
            needs the whole batch in one process.
    """
    if processes == 1:
        return
    for phase in config.phases:
        if phase.batch % processes:
            raise UsageError(
                f"a batch of {phase.batch} cannot be divided evenly among {processes} processes; --set phases with a "
                f"batch that is a multiple of {processes}"
            )
    if config.weights.energy and any(phase.batch < 2 * processes for phase in config.phases):
        raise UsageError(
            f"weights.energy compares the samples of a process with each other, so {processes} processes need a batch "
            f"of {2 * processes} at least; --set phases with a larger batch"
        )
    if config.kind == "collection" and config.collection.normalization == "batch":
        raise UsageError(
            "collection.normalization=batch needs the whole batch in one process; train in one process, or --set "
            "collection.normalization=instance"
        )
