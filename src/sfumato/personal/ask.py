"""Questions to a person: which of two pictures do you like better?

A question shows one photo in two styles, from the built-in styles and the centres of the person's own style.
`preference_model.next_question` chooses the pair with the largest expected information gain. Each answer is stored and
learnt from at once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sfumato import assets
from sfumato.errors import UsageError
from sfumato.image import Picture, as_image, read_image, resize, thumbnail_size
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.personal.centres import Centre
from sfumato.personal.gathering import recall
from sfumato.personal.learning import fit_model
from sfumato.personal.preference_model import PreferenceModel, next_question
from sfumato.personal.records import code_id
from sfumato.personal.service import answer
from sfumato.personal.space import StyleSpace
from sfumato.personal.store import answered_codes, load_personal_style, load_record
from sfumato.style_code import StyleCode

Choice = Literal["first", "second", "neither"]
#: Shorter side of the pictures shown, in pixels.
SHORT_SIDE = 240


@dataclass(frozen=True, eq=False)
class Question:
    """Two styles, and the photo painted in each, ``(1, 3, h, w)``."""

    first: Style
    second: Style
    pictures: tuple[Picture, Picture]


class Questions:
    """The sequence of questions to one person; safe to use from several threads.

    Args:
        name: Name of the personal style.
        stylizer: Paints the photo in the styles.
        photo: The photo to paint; None paints `sample_photo`.

    Attributes:
        candidates: The styles that questions compare.
        answered: Number of answers so far in this sitting.

    Raises:
        UsageError: There is no such personal style, or it was imported from a file.
        InputError: The photo cannot be read.
    """

    def __init__(self, name: str, stylizer: Stylizer, photo: str | Path | None = None) -> None:
        self.record = load_record(name)
        if self.record.imported:
            raise UsageError(
                f"{name} came as a file, so it cannot learn from answers; make your own style with sfumato personal new"
            )
        self.stylizer = stylizer
        picture = sample_photo() if photo is None else read_image(photo)
        self._photo = resize(picture, *thumbnail_size(picture.shape[2], picture.shape[3], SHORT_SIDE, 2 * SHORT_SIDE))
        personal_style = load_personal_style(self.record)
        built_in = (Style.named(style) for style in assets.style_names())
        self.candidates: Sequence[Style] = [*built_in, *(personal_style.styles if personal_style else ())]
        for style in self.candidates:
            stylizer.check_style(style)
        self._space = StyleSpace.load()
        # The centres depend on liked pictures only, so they stay the same while questions are answered.
        self._centres = [Centre(style.code, 1.0, ()) for style in (personal_style.styles if personal_style else ())]
        self._codes = {digest: one.code for digest, one in recall(self.record, stylizer)[0].items()}
        self._painted: dict[int, Picture] = {}
        self._lock = threading.RLock()
        self._question: tuple[int, int] | None = None
        self.answered = 0

    def next(self) -> Question | None:
        """Return the most informative question, the same one until it is answered; None when enough is learnt."""
        with self._lock:
            if self._question is None:
                self._question = next_question(self.model(), [s.code for s in self.candidates], self._asked_pairs())
            if self._question is None:
                return None
            first, second = self._question
            shown = self._paint(first), self._paint(second)
            return Question(self.candidates[first], self.candidates[second], shown)

    def answer(self, question: Question, preferred: Choice) -> None:
        """Store the answer to the last question of `next`, and learn from it.

        Raises:
            UsageError: ``question`` is not the open one, for example because it was answered before.
            OutputError: The store cannot be written.
        """
        with self._lock:
            asked = [self.candidates[i] for i in self._question or ()]
            if asked != [question.first, question.second]:
                raise UsageError("the question was answered already; answer the next one")
            self.record, _ = answer(self.record.name, question.first, question.second, preferred, self.stylizer)
            self._question = None
            self.answered += 1

    def reload(self) -> None:
        """Read the record again, to which other processes may have added answers; the next question is a new one.

        The pictures of the record must be the same.
        """
        with self._lock:
            self.record = load_record(self.record.name)
            self._question = None

    def model(self) -> PreferenceModel:
        """Return the preference model fitted to all pictures and answers so far."""
        codes: dict[str, StyleCode] = {**self._codes, **answered_codes(self.record, self.stylizer.card.model)}
        return fit_model(self.record, codes, self._space, self._centres)

    def _asked_pairs(self) -> set[tuple[int, int]]:
        """Return the pairs of candidates, by index, that were asked before."""
        places = {code_id(style.code): i for i, style in enumerate(self.candidates)}
        pairs = ((places.get(each.first[1]), places.get(each.second[1])) for each in self.record.answers)
        return {(first, second) for first, second in pairs if first is not None and second is not None}

    def _paint(self, place: int) -> Picture:
        if place not in self._painted:
            self._painted[place] = self.stylizer(self._photo, self.candidates[place], quality="draft")
        return self._painted[place]


def side_by_side(question: Question) -> Picture:
    """Return both pictures of a question side by side, ``(1, 3, h, w)``, with a white gap."""
    first, second = question.pictures
    return np.concatenate([first, np.ones((1, 3, first.shape[2], 8), np.float32), second], 3)


def sample_photo() -> Picture:
    """Draw a landscape with a house by a lake, ``(1, 3, 240, 320)``, the same on every machine."""
    high, wide, times = 240, 320, 2
    y, x = np.mgrid[0 : high * times, 0 : wide * times] / times
    rng = np.random.default_rng(6)
    sky = np.array([0.35, 0.55, 0.85]) + (y[..., None] / high) * np.array([0.75, 0.35, -0.05])
    image = Image.fromarray(np.rint(255 * np.clip(sky, 0, 1)).astype(np.uint8))
    draw = ImageDraw.Draw(image)

    def scaled(*points: float) -> list[float]:
        return [times * point for point in points]

    draw.ellipse(scaled(215, 40, 251, 76), (255, 236, 170))
    for crest, size, colour in ((120, 26, (110, 125, 160)), (145, 18, (84, 112, 100)), (165, 9, (92, 128, 66))):
        ridge = crest - size * np.sin(x[0] / (size * 1.7) + crest) - size * 0.4 * np.sin(x[0] / 7 + size)
        edge = list(zip((times * x[0]).tolist(), (times * ridge).tolist(), strict=True))
        draw.polygon([*edge, (wide * times, high * times), (0, high * times)], colour)
    draw.polygon(scaled(0, 205, 130, 192, 320, 200, 320, 240, 0, 240), (86, 128, 158))
    for _ in range(60):
        start, level = rng.uniform(0, wide), rng.uniform(205, high)
        draw.line(scaled(start, level, start + rng.uniform(8, 30), level), (150, 180, 196), times)
    draw.polygon(scaled(70, 160, 118, 160, 118, 192, 70, 192), (196, 160, 128))
    draw.polygon(scaled(64, 162, 94, 138, 124, 162), (140, 62, 48))
    for window in (78, 100):
        draw.rectangle(scaled(window, 168, window + 9, 179), (60, 54, 60))
    draw.rectangle(scaled(262, 130, 269, 196), (74, 54, 42))
    for _ in range(70):
        away, turn, leaf = rng.uniform(0, 28), rng.uniform(0, 2 * np.pi), rng.uniform(4, 9)
        across, down = 265 + away * np.cos(turn), 112 + 0.9 * away * np.sin(turn)
        green = (int(rng.integers(40, 90)), int(rng.integers(90, 140)), int(rng.integers(30, 60)))
        draw.ellipse(scaled(across - leaf, down - leaf, across + leaf, down + leaf), green)
    small = image.filter(ImageFilter.GaussianBlur(times * 0.6)).resize((wide, high), Image.Resampling.BOX)
    grain = rng.normal(0, 0.02, (1, 1, high, wide)).astype(np.float32)
    return np.asarray(np.clip(as_image(small) + grain, 0, 1), np.float32)
