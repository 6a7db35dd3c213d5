"""A training run's config: TOML recipes, validated before any work (torch's import too), saved with the run."""

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
#: What has a part in a collection's training; the other weights are of terms that need a style code.
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
#: What has a part in the training of a decoder of matched features.
MATCHING_TERMS = ("adversarial", "range", "reconstruction", "reconstruction_features", "matched", "lattice")
#: Overrides that turn a collection's recipe from contrast (CUT) to the cycle, with the weights and pool of CycleGAN.
CYCLE = (
    "collection.cycle=true",
    "weights.cycle=10",
    "weights.identity=5",
    "weights.contrast=0",
    "weights.contrast_identity=0",
    "pool=50",
)


class Phase(Config):
    """A stretch of training with its own sizes. Phases are data: the loop knows no schedule but this list.

    Attributes:
        thumbnails: sides in pixels of the square thumbnails that statistics are measured on; one is drawn each step.
    """

    steps: PositiveInt  # how long it is
    batch: PositiveInt = 4  # samples a step
    crop: int = 128  # pixels, a multiple of 8
    adversarial: bool = True  # whether the discriminator takes part
    # The sides cover what painting measures statistics at, so that no one size is learnt by heart.
    thumbnails: Annotated[tuple[Annotated[int, Field(ge=16)], ...], Field(min_length=1)] = (160, 224, 320)
    zoom_crops: NonNegativeInt = 1  # samples a step with a crop of the enlarged photo too (weights.consistency)
    magnification: Annotated[float, Field(ge=1)] = 12.0  # the most that such a photo is enlarged

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crop % 8 or self.crop < 32:
            raise ValueError(f"crop must be a multiple of 8 from 32 up, but is {self.crop}")
        return self


class TrainConfig(Config):
    """All that decides a run besides the pictures."""

    recipe: str = "custom"  # name of the recipe, or of its file; set by the command
    kind: KindName = "arbitrary"  # what is trained: any style, one collection, pictures of noise, or a decoder
    seed: NonNegativeInt = 0  # of all random choices, together with the step
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]  # one after the other
    model: ModelConfig = ModelConfig()  # shapes, of the arbitrary kind
    collection: CollectionConfig = CollectionConfig()  # shapes, of the collection kind, as the next two
    patches: PositiveInt = 256  # places a layer that are told apart by contrast
    pool: NonNegativeInt = 0  # earlier outputs that the discriminator is shown too; 0: none
    noise: NoiseConfig = NoiseConfig()  # shapes, of the noise kind
    matching: MatchingConfig = MatchingConfig()  # shapes, of the matching kind, as the next two
    balance: Annotated[float, Field(ge=0, le=1)] = 0.7  # of matching; 0: nearest neighbours, 1: all features are used
    fused: Annotated[float, Field(ge=0, le=1)] = 0.3  # share of the samples at a random strength; the others at 1
    weights: LossWeights = LossWeights()  # of the terms of the generator's objective
    adversarial: AdversarialConfig = AdversarialConfig()  # of generator and discriminator
    learning_rate: PositiveFloat = 1e-3  # of the generator, with Adam
    discriminator_learning_rate: PositiveFloat = 4e-4  # lower, so that the discriminator does not run ahead
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # Adam's β1 of the generator; the discriminator's is 0
    warmup: PositiveInt = 50  # steps of linear warm-up
    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.05  # share of the learning rate that a cosine ends at
    clip: PositiveFloat = 10.0  # the largest norm of the generator's gradient; a longer one is shortened to it
    ema_half_life: PositiveFloat = 4000.0  # of the moving average of the weights, in pictures
    identity_samples: NonNegativeInt = 2  # samples a step trained at strength 0: photos and paintings in equal parts
    crops_per_photo: NonNegativeInt = 0  # crops a photo (their VGG features are then cached); 0: fresh crops
    short_side: Annotated[int, Field(ge=64)] = 320  # short side at which pictures are held, in pixels
    painting_short_side: Annotated[int, Field(ge=64)] | None = None  # the same of paintings; None: as `short_side`
    mixed_precision: Literal["no", "bf16"] = "no"  # 16-bit floats of the short range cannot hold VGG19's features
    checkpoint_every: PositiveInt = 200  # steps from one checkpoint to the next
    sample_every: PositiveInt = 200  # steps from one sheet of samples to the next
    log_every: PositiveInt = 10  # steps from one line of the log to the next
    # The monitor (training/monitor.py) sees what each logged step tells, and every so many steps what is painted
    monitor: MonitorConfig = MonitorConfig()  # of the watch over the run
    probe_every: NonNegativeInt = 50  # steps between measurements of the probes, a multiple of log_every; 0: none
    started_from: str = ""  # SHA-256 of the weights that the run began with, which --from sets; none of its own

    # Validation (training/validation.py), where there are pictures for it
    validation_pairs: NonNegativeInt = 24  # of a photo and a painting; 0 turns validation off
    validation_side: Annotated[int, Field(ge=32)] = 192  # pixels, short side at which they are painted and judged
    validate_every: NonNegativeInt = 0  # steps; 0: with each checkpoint
    hold_out: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the pictures that is kept back to validate with
    content_exchange: NonNegativeFloat = 0.5  # what a unit of content distance costs in units of style
    patience: NonNegativeInt = 0  # validations without improvement in the last phase, after which to stop; 0: never
    min_improvement: NonNegativeFloat = 0.002  # of the score, that counts for patience
    content_target: NonNegativeFloat = 0.0  # content distance that the content weight is steered to; 0: fixed weight
    controller_gain: PositiveFloat = 0.5  # how fast the content weight follows; too much, and it swings

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.content_target and not (self.weights.content and self.validation_pairs):
            raise ValueError("content_target needs weights.content and validation_pairs above 0")
        if self.validation_pairs == 1:
            raise ValueError("validation_pairs must be 0 or at least 2: figures are relative to how paintings differ")
        return self

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind == "arbitrary":
            if any(phase.adversarial and phase.batch < 2 for phase in self.phases):
                raise ValueError(
                    "an adversarial phase needs a batch of 2 or more: each painting meets a neighbour's code"
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
            raise ValueError("content_target steers weights.content, which matching does not have; leave it at 0")

    def _check_collection(self) -> None:
        weights = self.weights
        self._check_terms(COLLECTION_TERMS, "a collection")
        if self.content_target:
            raise ValueError("content_target steers what validation measures, and a collection is not validated")
        if self.collection.cycle and (weights.contrast or weights.contrast_identity or not weights.cycle):
            raise ValueError("a collection with a cycle has weights.cycle above 0 and no contrast; --cycle sets both")
        if not self.collection.cycle and (weights.cycle or not (weights.contrast or weights.content)):
            raise ValueError(
                "a collection without a cycle has weights.contrast or weights.content above 0, which keeps the photo, "
                "and weights.cycle 0"
            )

    def _check_noise(self) -> None:
        if self.weights.alpha is not None:
            raise ValueError("weights.alpha has no part in kind noise; its one term is adversarial")
        if not (self.weights.adversarial and all(phase.adversarial for phase in self.phases)):
            raise ValueError(
                "a generator of kind noise learns from the discriminator alone: weights.adversarial must be above 0 "
                "and every phase adversarial"
            )
        if self.content_target:
            raise ValueError("content_target is for kinds that paint photos; leave it at 0 for kind noise")
        if self.short_side < self.noise.side:
            raise ValueError(f"short_side must be noise.side ({self.noise.side}) or more, but is {self.short_side}")

    @property
    def has_photos(self) -> bool:
        """Whether it learns from photos too, and not from paintings alone."""
        return self.kind != "noise"

    @property
    def is_validated(self) -> bool:
        """Whether checkpoints are judged as training goes on, where there are pictures to judge them on."""
        return self.kind in ("arbitrary", "matching") and self.validation_pairs > 0

    @property
    def painting_side(self) -> int:
        """Short side at which paintings are held, in pixels; smaller ones are held as they are."""
        return self.painting_short_side or self.short_side

    @property
    def validation_interval(self) -> int:
        """Steps from one validation to the next."""
        return self.validate_every or self.checkpoint_every

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> Phase:
        """The phase that a step (0-based) belongs to."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]

    def spec(self, phase: Phase) -> BatchSpec:
        from sfumato.data.batches import BatchSpec  # it needs torch, and a config does not

        return BatchSpec(
            phase.batch, phase.crop, phase.thumbnails, phase.zoom_crops, phase.magnification, self.crops_per_photo
        )


def load_recipe(recipe: str, overrides: list[str] | None = None, kind: str | None = None) -> TrainConfig:
    """A recipe by name (tiny, laptop, flagship) or path, with `key=value` overrides; UsageError where it is wrong.

    `kind` chooses among the recipes of a name (None: arbitrary); a file of one's own may say it itself.
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
        raise UsageError(f"no recipe {recipe!r}; give one of {', '.join(RECIPES)} or the path of a .toml file")
    # A file by its name alone: cards, which are published, are nobody's folders.
    named = {"recipe": recipe if recipe in RECIPES else Path(recipe).name}
    config = TrainConfig.parse({**named, **apply_overrides(values, overrides or [])}, f"Recipe {recipe}")
    if kind not in (None, config.kind):
        raise UsageError(f"{recipe} is a recipe of the kind {config.kind!r}; leave --kind out, or give that")
    return config


def check_processes(config: TrainConfig, processes: int) -> None:
    """UsageError where the batches of a run cannot be shared among so many processes."""
    if processes == 1:
        return
    for phase in config.phases:
        if phase.batch % processes:
            raise UsageError(
                f"a batch of {phase.batch} cannot be shared evenly by {processes} processes; --set phases with a batch "
                f"that is a multiple of {processes}"
            )
    if config.kind == "collection" and config.collection.normalization == "batch":
        raise UsageError(
            "collection.normalization=batch needs the whole batch in one process: each would normalise by its part's "
            "statistics, and train another network; train in one, or --set collection.normalization=instance"
        )
