"""Do-not-train marks: whether the owner of a picture file reserved it from training; and whether it has credentials.

Three marks are read: the property ``DataMining`` of PLUS and IPTC, W3C's ``tdm-reservation``, and the assertion
``cawg.training-mining`` (formerly ``c2pa.training-mining``) of a C2PA manifest.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from sfumato import limits
from sfumato.files import read_bytes
from sfumato.metadata import Metadata

_MANIFEST = b"jumdc2pa"  # how the description of a C2PA manifest store begins, in all formats
_LABELS = ("cawg.training-mining", "c2pa.training-mining")
_USES = ("ai_training", "ai_generative_training", "data_mining")  # inference is no training
_OFFLINE = {"version_major": 1, "verify": {"remote_manifest_fetch": False, "verify_trust": False}}


def has_credentials(data: bytes) -> bool:
    """Return whether a file's bytes contain content credentials (C2PA), valid or not."""
    return _MANIFEST in data


def reservation(path: Path, metadata: Metadata) -> str | None:
    """Return the mark that reserves a picture file from training; None if there is none.

    Args:
        path: the file.
        metadata: of the file, as `read_photo` returns it.
    """
    if metadata.reservation:
        return metadata.reservation
    with suppress(OSError, ValueError):
        if _in_manifest(path, read_bytes(path, limits.max_file_bytes(limits.max_pixels()))):
            return "training-mining"
    return None


def _in_manifest(path: Path, data: bytes) -> bool:
    """Return whether a C2PA manifest in the file, or one of its ingredients' manifests, forbids training.

    Without the package c2pa, the words of the assertion are searched, which cannot tell its entries apart: then one
    that forbids anything counts.
    """
    if b"jumb" not in data:
        return False
    try:
        from c2pa import C2paError, Context, Reader
    except ImportError:
        return b"training-mining" in data and b"notAllowed" in data
    try:
        with Context.from_dict(_OFFLINE) as context, Reader(path, context=context) as reader:
            manifests: dict[str, Any] = json.loads(reader.json()).get("manifests", {})
    except (C2paError, ValueError):
        return False
    return any(
        _forbids(assertion.get("data"))
        for manifest in manifests.values()
        for assertion in manifest.get("assertions", ())
        if str(assertion.get("label", "")).startswith(_LABELS)
    )


def _forbids(data: Any) -> bool:
    entries = data.get("entries") if isinstance(data, dict) else None
    return any(
        key.rpartition(".")[2] in _USES and isinstance(entry, dict) and entry.get("use") != "allowed"
        for key, entry in (entries.items() if isinstance(entries, dict) else ())
    )
