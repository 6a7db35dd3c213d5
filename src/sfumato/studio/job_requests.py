"""What a job is asked for: one model for each kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sfumato.inference.options import MAX_SEED

_EXAMPLE = "8c1f0a5d7e9b4c3f8a2d6e1b0c9f7a35"

PictureId: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", examples=[_EXAMPLE])]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: A name that `inference.library.is_name` accepts.
TasteName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["my-taste"])]
#: ``monet``, ``own:ID``, ``taste:NAME`` or ``taste:NAME/2``.
StyleRef: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9][a-z0-9-]{0,62}|own:[0-9a-f]{32}|taste:[a-z0-9][a-z0-9-]{0,62}(/[0-9]{1,3})?)$",
        examples=["monet", f"own:{_EXAMPLE}", "taste:me/2"],
        description="A built-in style by its name, `own:` and the id of your own style, or `taste:` and a taste's name",
    ),
]
Format: TypeAlias = Literal["png", "jpeg", "webp"]


class Model(BaseModel):
    """Base class of the requests: unknown fields are mistakes, and numbers are finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class StylePart(Model):
    """A style, its weight in a blend, and the region that it paints."""

    style: StyleRef
    weight: float = Field(default=1.0, gt=0, le=100)
    mask: PictureId | None = Field(default=None, description="A grey picture: white where this style paints")


class Options(Model):
    """How a photo is painted."""

    strength: float = Field(default=1.0, ge=0, le=1, description="0 is the photo, 1 the full style")
    stroke: float = Field(default=1.0, ge=0.5, le=2, description="Size of the brush strokes")
    color: Literal["style", "content", "luminance"] = "style"
    quality: Literal["draft", "standard", "best"] | None = None
    seed: int = Field(default=0, ge=0, le=MAX_SEED)


class VideoOptions(Options):
    """How the frames of a video are painted."""

    quality: Literal["draft", "standard"] = "draft"


class FinishStep(Model):
    """One finishing step: size, then colours, then sharpness."""

    brightness: float = Field(default=0.0, ge=-1, le=1)
    contrast: float = Field(default=0.0, ge=-1, le=1)
    saturation: float = Field(default=0.0, ge=-1, le=1)
    warmth: float = Field(default=0.0, ge=-1, le=1)
    sharpen: float = Field(default=0.0, ge=0, le=2)
    upscale: Literal[1, 2] = 1


class PaintExtras(Model):
    """What painting takes beside the photo and the styles."""

    options: Options = Options()
    max_size: int = Field(
        default=0, ge=0, le=100_000, description="Longer side in pixels to shrink a photo to; 0 keeps it"
    )
    best_of: int = Field(default=1, ge=1, le=8)
    auto: bool = Field(default=False, description="Choose strength and stroke for the photo")
    finish: list[FinishStep] = Field(default=[], max_length=4)
    format: Format = "png"
    file_quality: int = Field(default=92, ge=1, le=100)

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if 0 < self.max_size < 16:
            raise ValueError("max_size must be 0 or at least 16")
        return self


class Paint(PaintExtras):
    """Paint a photo."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "paint",
                    "photo": _EXAMPLE,
                    "styles": [{"style": "monet", "weight": 1.0}],
                    "options": {"strength": 0.8, "quality": "standard"},
                }
            ]
        }
    )
    kind: Literal["paint"]
    photo: PictureId
    styles: list[StylePart] = Field(default=[], max_length=8)
    recipe_of: PictureId | None = Field(default=None, description="Take styles and options from this picture's recipe")
    preview: bool = Field(default=False, description="A small draft that is removed after a while")
    slot: str | None = Field(
        default=None, max_length=64, description="A newer preview of a slot replaces the older ones"
    )

    @model_validator(mode="after")
    def _check_styles(self) -> Self:
        if not self.styles and self.recipe_of is None:
            raise ValueError("styles is empty; name a style, or a picture in recipe_of")
        if self.styles and self.recipe_of is not None:
            raise ValueError("styles and recipe_of exclude each other; leave one of them out")
        if len({part.mask is None for part in self.styles}) > 1:
            raise ValueError("styles must all have a mask, or none of them")
        return self


class PaintVideo(Model):
    """Paint a video. A worker that is interrupted goes on from the last whole part."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "video", "video": _EXAMPLE, "styles": [{"style": "monet"}], "options": {"quality": "draft"}}
            ]
        }
    )
    kind: Literal["video"]
    video: PictureId
    styles: list[StylePart] = Field(min_length=1, max_length=8, description="Blended by their weights")
    options: VideoOptions = VideoOptions()
    steady: float | None = Field(
        default=None, ge=0, le=1, description="0 paints each frame by itself; null takes Sfumato's own choice"
    )
    max_size: int = Field(default=0, ge=0, le=8192, description="Longer side in pixels to shrink it to; 0 keeps it")
    start: float = Field(default=0, ge=0, description="Seconds at which the painted part begins")
    end: float | None = Field(default=None, gt=0, description="Seconds at which it ends; null is the end of the video")

    @model_validator(mode="after")
    def _check_part(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError("end must be later than start")
        if 0 < self.max_size < 64:
            raise ValueError("max_size must be 0 or at least 64")
        if any(part.mask is not None for part in self.styles):
            raise ValueError("styles of a video take no mask")
        return self


class FinishPicture(FinishStep):
    """Finish a picture: colours, sharpness, twice the size."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "finish", "picture": _EXAMPLE, "contrast": 0.2, "sharpen": 0.5}]}
    )
    kind: Literal["finish"]
    picture: PictureId
    format: Format = "png"

    @model_validator(mode="after")
    def _check_change(self) -> Self:
        if self.upscale == 1 and not any((self.brightness, self.contrast, self.saturation, self.warmth, self.sharpen)):
            raise ValueError("nothing is to be changed; move brightness, contrast, saturation, warmth or sharpen")
        return self


class Explain(Model):
    """Explain a painted picture: where it changed, and which part of which painting each place came from."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "explain", "picture": _EXAMPLE}]})
    kind: Literal["explain"]
    picture: PictureId


class Learn(Model):
    """Learn a taste from liked and disliked pictures; the taste is made if it does not exist."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "learn", "taste": "my-taste", "liked": [_EXAMPLE]}]}
    )
    kind: Literal["learn"]
    taste: TasteName
    liked: list[PictureId] = Field(default=[], max_length=200)
    disliked: list[PictureId] = Field(default=[], max_length=200)
    removed: list[Sha256] = Field(default=[], max_length=200)

    @model_validator(mode="after")
    def _check_pictures(self) -> Self:
        if both := set(self.liked) & set(self.disliked):
            raise ValueError(f"the picture {min(both)} is both liked and disliked; choose one")
        return self


class Question(Model):
    """Ask for the question about a taste that teaches most."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "question", "taste": "my-taste"}]})
    kind: Literal["question"]
    taste: TasteName
    photo: PictureId | None = None


class Answer(Model):
    """Answer a question about a taste; the result is the next question."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "answer", "taste": "my-taste", "first": "monet", "second": "great-wave", "choice": "first"}
            ]
        }
    )
    kind: Literal["answer"]
    taste: TasteName
    first: StyleRef
    second: StyleRef
    choice: Literal["first", "second", "neither"]
    photo: PictureId | None = None


class TasteSheet(Model):
    """Show what a taste has learnt: the photo painted in each of its centres."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "taste_sheet", "taste": "my-taste"}]})
    kind: Literal["taste_sheet"]
    taste: TasteName
    photo: PictureId | None = None


JobRequest: TypeAlias = Annotated[
    Paint | PaintVideo | FinishPicture | Explain | Learn | Question | Answer | TasteSheet, Field(discriminator="kind")
]
#: Kinds that a person waits for, apart from previews.
QUICK = frozenset({"question", "answer", "taste_sheet"})


class BatchRequest(PaintExtras):
    """Paint each photo in each list of styles with each strength: one job for each."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "photos": [_EXAMPLE],
                    "styles": [[{"style": "monet"}], [{"style": "great-wave"}]],
                    "strengths": [0.4, 0.8],
                }
            ]
        }
    )
    photos: list[PictureId] = Field(min_length=1, max_length=1000)
    styles: list[list[StylePart]] = Field(min_length=1, max_length=50)
    strengths: list[Annotated[float, Field(ge=0, le=1)]] = Field(default=[], max_length=10)
    quick: bool = Field(default=False, description="Small drafts that are removed after a while: a grid of variants")

    def jobs(self) -> list[Paint]:
        """Return the jobs: photos outermost, then styles, then strengths.

        Raises:
            ValueError: A list of styles is empty, or only some of its styles have a mask.
        """
        shared = self.model_dump(exclude={"photos", "styles", "strengths", "quick", "options"})
        found = []
        for photo in self.photos:
            for styles in self.styles:
                for strength in self.strengths or [self.options.strength]:
                    options = self.options.model_copy(update={"strength": strength})
                    found.append(
                        Paint(kind="paint", photo=photo, styles=styles, options=options, preview=self.quick, **shared)
                    )
        return found


def pictures_of(asked: Any) -> list[str]:
    """Return the ids of all pictures that a request names."""
    found: list[str | None] = []
    if isinstance(asked, Paint):
        found = [asked.photo, asked.recipe_of, *(part.mask for part in asked.styles)]
    elif isinstance(asked, PaintVideo):
        found = [asked.video]
    elif isinstance(asked, Learn):
        found = [*asked.liked, *asked.disliked]
    elif isinstance(asked, FinishPicture | Explain):
        found = [asked.picture]
    else:
        found = [asked.photo]
    return [each for each in found if each is not None]


def styles_of(asked: Any) -> list[str]:
    """Return the styles that a request names, and the taste that it needs."""
    if isinstance(asked, Paint | PaintVideo):
        return [part.style for part in asked.styles]
    if isinstance(asked, Answer):
        return [f"taste:{asked.taste}", asked.first, asked.second]
    return [f"taste:{asked.taste}"] if isinstance(asked, Question | TasteSheet) else []
