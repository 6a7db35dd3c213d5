"""ICC profiles (ICC.1:2001-04): that of sRGB, and profiles built from the colour fields of files without one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

from sfumato.errors import InputError

_Curve = float | Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
_D50 = (0.9642, 1.0, 0.8249)
_D65 = (0.3127, 0.329)
_SRGB = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_POINTS = 1024
# H.273, table 2: white, red, green, blue, each x and y.
_PRIMARIES = {
    1: _SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_HDR = {16: "PQ", 18: "HLG"}


def _srgb_curve(stored: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert stored values to linear light by the sRGB curve (IEC 61966-2-1)."""
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def _video_curve(stored: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert stored values to linear light by the curve of BT.709 and BT.2020."""
    return np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))


# H.273, table 3
_CURVES: dict[int, _Curve] = {
    **dict.fromkeys((1, 6, 14, 15), _video_curve),
    4: 2.2,
    5: 2.8,
    8: 1.0,
    13: _srgb_curve,
}


@cache
def srgb_profile() -> bytes:
    """Return the sRGB profile of Little CMS (588 bytes) with a fixed date, so that equal pictures give equal files."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + data[36:]


@cache
def adobe_rgb_profile() -> bytes:
    """Return a profile of Adobe RGB (1998), which cameras name in Exif without embedding it."""
    return _profile((*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256)


def profile_of_codes(codes: bytes) -> bytes | None:
    """Return the profile that PNG's ``cICP`` chunk describes (PNG 3rd edition, 11.3.2.6).

    Returns:
        The ICC profile; ``None`` for sRGB and for unknown codes.

    Raises:
        InputError: the colours are of high dynamic range, or not full-range RGB.
    """
    if len(codes) != 4:
        return None
    primaries, curve, matrix, is_full = codes
    if curve in _HDR:
        raise InputError(
            f"its colours are of high dynamic range ({_HDR[curve]}); save it for an ordinary screen (sRGB)"
        )
    if matrix != 0 or is_full != 1:
        raise InputError("its values are encoded as video (YCbCr or narrow range); save it as ordinary RGB")
    if primaries not in _PRIMARIES or curve not in _CURVES or (primaries, curve) == (1, 13):
        return None
    return _profile(_PRIMARIES[primaries], _CURVES[curve])


def profile_of_numbers(gamma: float | None, chromaticities: Sequence[float] | None) -> bytes | None:
    """Return the profile that PNG's ``gAMA`` and ``cHRM`` chunks describe.

    Args:
        gamma: the exponent of the file, such as 0.45455; ``None`` if not stated.
        chromaticities: x and y of white, red, green and blue; ``None`` if not stated.

    Returns:
        The ICC profile; ``None`` for values that are close to sRGB or invalid.
    """
    curve: _Curve = _srgb_curve
    if gamma is not None and abs(gamma * 2.2 - 1) > 0.05 and 0.1 <= gamma <= 10:  # 1/2.2 stands for sRGB in practice
        curve = 1 / gamma
    places = tuple(chromaticities) if chromaticities is not None else _SRGB
    if len(places) != 8 or max(abs(a - b) for a, b in zip(places, _SRGB, strict=True)) < 0.005:
        places = _SRGB
    if curve is _srgb_curve and places is _SRGB:
        return None
    try:
        return _profile(places, curve)
    except (ArithmeticError, ValueError, struct.error, np.linalg.LinAlgError):  # impossible chromaticities
        return None


def _profile(places: Sequence[float], curve: _Curve) -> bytes:
    """Build a display profile from chromaticities (x and y of white, red, green and blue) and one curve."""
    with np.errstate(all="raise"):
        points = np.array(places, np.float64).reshape(4, 2)
        xyz = np.stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(1)) / points[:, 1]])  # (3, 4)
        white, primaries = xyz[:, 0], xyz[:, 1:]
        light = primaries * np.linalg.solve(primaries, white)
        to_d50 = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ np.array(_D50) / (_BRADFORD @ white)) @ _BRADFORD)
        columns = (to_d50 @ light).T
    if isinstance(curve, float):
        bent = struct.pack(">IH", 1, round(curve * 256)) if curve != 1 else struct.pack(">I", 0)
    else:
        table = np.rint(curve(np.linspace(0, 1, _POINTS)) * 65535).astype(">u2")
        bent = struct.pack(">I", _POINTS) + table.tobytes()
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78), b"wtpt": _xyz(_D50)}
    for name, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": b"curv" + bytes(4) + bent}
    directory, body = b"", b""
    for tag, data in tags.items():
        directory += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 132 + len(directory) + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    head += bytes(28) + _xyz(_D50)[8:] + bytes(48)
    return head + struct.pack(">I", len(tags)) + directory + body


def _xyz(values: Sequence[float] | npt.NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(value) * 65536) for value in values))
