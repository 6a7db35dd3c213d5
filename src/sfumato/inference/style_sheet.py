"""A contact sheet of one photo in every built-in style, for the choice of a style."""

from __future__ import annotations

from sfumato import __version__, assets
from sfumato.image import ImageSource, Photo, resize, to_uint8
from sfumato.inference.inputs import usable
from sfumato.inference.progress import Progress
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.metadata import Metadata
from sfumato.sheet import gallery

#: Longer side, in pixels, of the photo when it is painted, and of a picture on the sheet.
PAINTED, CELL = 512, 320
#: Kind of the recipe in a sheet, by which painting a folder skips it.
SHEET = "styles"


def style_sheet(
    photo: ImageSource,
    stylizer: Stylizer | None = None,
    progress: Progress | None = None,
) -> Photo:
    """Return the sheet: the photo, and a draft of it in each built-in style, in alphabetical order, with their names.

    Args:
        photo: a path, a ``PIL.Image`` or an array (see ``sfumato.image.as_image``) of any size; a small copy is
            painted.
        stylizer: of the model that ships with Sfumato, which is the default.
        progress: is called before each style with the completed share, from 0 to 1, and the style's name, and at the
            end with 1. An exception that it raises ends the work and reaches the caller.

    Raises:
        InputError: the photo cannot be read, or is too small to be painted.
    """
    picture = usable(photo)
    stylizer = stylizer or Stylizer()
    height, width = picture.shape[2:]
    scale = min(1.0, PAINTED / max(height, width))
    picture = resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    names = assets.style_names()
    pictures = [picture]
    for number, name in enumerate(names):
        if progress is not None:
            progress(number / len(names), name)
        pictures.append(stylizer(picture, Style.named(name), quality="draft"))
    if progress is not None:
        progress(1.0, "")
    sheet = gallery(pictures, ["the photo", *names], CELL)
    return Photo(to_uint8(sheet), metadata=Metadata(recipe={"kind": SHEET, "version": __version__}))
