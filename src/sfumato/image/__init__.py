"""The image contract, and every conversion to and from it.

The contract: a picture is RGB in the sRGB colour space, shape ``(N, 3, H, W)``, float32, in ``[0, 1]``. Every public
function takes and returns pictures in this form; only networks use ``[-1, 1]`` internally. Conversion to 8 bits rounds
and never truncates.

A :class:`Photo` is the content of a file at the file's own precision: integer pixels, separate alpha, and metadata. It
returns any region as a picture, so that a large photo need not be in memory as float32 as a whole.

This package is not public: its names may change. Its public names are exported by ``sfumato``.
"""

from sfumato.image.folders import Contents, LeftOut, describe_left_out, is_hidden, scan_folder
from sfumato.image.formats import READABLE, READABLE_FORMATS
from sfumato.image.opening import PhotoSource
from sfumato.image.photo import Photo, Picture, luma, to_8_bits, to_levels, to_pil, to_uint8
from sfumato.image.reading import (
    ImageSource,
    array_of,
    as_image,
    as_photo,
    is_file_like,
    photo_digest,
    picture_digest,
    read_image,
    read_metadata_of,
    read_photo,
    read_recipe,
)
from sfumato.image.resampling import resample, resize, shrink, thumbnail, thumbnail_size
from sfumato.image.reservation import has_credentials, reservation
from sfumato.image.writing import (
    WRITABLE,
    as_jpeg_text,
    write_animation,
    write_image,
    write_photo,
    write_working_copy,
)
from sfumato.limits import MAX_PIXELS

__all__ = [
    "MAX_PIXELS",
    "READABLE",
    "READABLE_FORMATS",
    "WRITABLE",
    "Contents",
    "ImageSource",
    "LeftOut",
    "Photo",
    "PhotoSource",
    "Picture",
    "array_of",
    "as_image",
    "as_jpeg_text",
    "as_photo",
    "describe_left_out",
    "has_credentials",
    "is_file_like",
    "is_hidden",
    "luma",
    "photo_digest",
    "picture_digest",
    "read_image",
    "read_metadata_of",
    "read_photo",
    "read_recipe",
    "resample",
    "reservation",
    "resize",
    "scan_folder",
    "shrink",
    "thumbnail",
    "thumbnail_size",
    "to_8_bits",
    "to_levels",
    "to_pil",
    "to_uint8",
    "write_animation",
    "write_image",
    "write_photo",
    "write_working_copy",
]
