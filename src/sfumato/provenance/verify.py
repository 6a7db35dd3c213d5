"""What is known about where a file comes from: by content credentials, by the invisible mark, and by the log."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sfumato.errors import InputError, SfumatoError
from sfumato.image import Photo, read_photo, scan_folder, to_8_bits
from sfumato.provenance import credentials, mark
from sfumato.provenance.credentials import Credentials, Failure
from sfumato.provenance.keys import anchors, check_extra, provenance_folder, read_anchors
from sfumato.provenance.log import Entry, Reading, read_log
from sfumato.provenance.seal import file_digest, pixels_digest
from sfumato.text import counted, short

_VIDEOS = (".mp4", ".m4v", ".mov", ".webm", ".mkv")
_EBML = b"\x1a\x45\xdf\xa3"  # the beginning of WebM and MKV
_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip")  # with which old MOV files begin
#: What a failure of C2PA means, by the beginning of its code; the first that fits.
_MEANINGS = (
    ("assertion.dataHash.mismatch", "the pixels or the metadata were changed after signing"),
    ("assertion.bmffHash.mismatch", "the video or its metadata were changed after signing"),
    ("assertion.boxesHash.mismatch", "the pixels or the metadata were changed after signing"),
    ("assertion.missing", "a part of the credentials was removed"),
    ("claimSignature", "the signature does not fit: the credentials were changed"),
    ("signingCredential.expired", "the certificate had expired"),
    ("signingCredential.revoked", "the certificate was revoked"),
    ("signingCredential", "the certificate cannot be used"),
    ("ingredient", "the credentials of a source do not fit those that were signed"),
    ("damaged", "the credentials are damaged and cannot be read"),
)
#: The remark on an unfinished line of the log.
TORN = (
    "An unfinished line follows, as a loss of power or a full disk leaves it: its file was not written, and the next "
    "seal removes the line."
)
#: What IPTC's words for how a picture was made mean, for those that Sfumato writes.
_SOURCE_TYPES = {
    "compositeWithTrainedAlgorithmicMedia": "an AI model changed a photo or picture",
    "humanEdits": "edited by hand, without an AI model",
}
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Verdict:
    """What is known about a file.

    Attributes:
        path: of the file.
        is_valid: whether nothing that is there is wrong; also true where there is nothing, but not for a file that is
            neither a picture that can be decoded, nor a video, nor has credentials.
        sentences: for people.
        facts: the same as JSON values.
    """

    path: Path
    is_valid: bool
    sentences: tuple[str, ...]
    facts: Mapping[str, Any]


class Verifier:
    """Checks files.

    Args:
        folder: of the user's keys and log; by default `keys.provenance_folder`. It need not exist.
        trust: PEM files of certificates that are trusted besides the user's own.

    Attributes:
        has_log: whether there is a log.
        has_end: whether its end is stored in the folder of the keys.
        is_torn: whether an unfinished line follows its end, which is no problem.
        log_problems: a sentence on each thing that is wrong with it.
        lines: how many lines of it are right.

    Raises:
        InputError: the log or a PEM file cannot be read.
        MissingExtraError: the extra ``provenance`` is not installed.
    """

    def __init__(self, folder: Path | None = None, trust: tuple[Path, ...] = ()) -> None:
        check_extra()
        folder = provenance_folder() if folder is None else folder
        self._anchors = anchors(folder) + "".join(read_anchors(path) for path in trust)
        found = read_log(folder)
        self.has_log, found = found is not None, found or Reading([], [], False)
        entries, self.log_problems, self.has_end = found.entries, found.problems, found.has_end
        self.lines, self.is_torn = len(entries), found.is_torn
        self._by_file = {entry.file: entry for entry in entries}
        self._by_pixels = {entry.pixels: entry for entry in entries if entry.pixels}
        self._by_id = {entry.id: entry for entry in reversed(entries)}  # the earliest line of each id

    def __call__(self, path: Path) -> Verdict:
        """Check a file.

        Raises:
            InputError: it cannot be read.
        """
        if not os.path.isfile(path):
            raise InputError(f"cannot read {path}: it is not a file, or does not exist")
        try:
            with open(path, "rb") as file:
                kind = credentials.media_type_of(file)
                found = credentials.read(file, self._anchors)
                digest = file_digest(file)
        except OSError as problem:
            raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem
        is_video = path.suffix.lower() in _VIDEOS and _is_video(path, kind)
        photo = None if is_video else _photo(path)
        is_readable = is_video or photo is not None
        sentences = [*_credential_sentences(found, is_readable, kind)]
        facts: dict[str, Any] = {"path": str(path), "credentials": _as_json(found)}
        marked = None if photo is None else mark.find(to_8_bits(photo.pixels))
        facts["mark"] = None if marked is None else {**asdict(marked), "id": _id(marked)}
        sentences += _mark_sentences(is_video, photo, marked, found)
        said, facts["log"] = self._log(digest, photo, found, marked)
        sentences += said
        is_valid = is_readable if found is None else found.state != "invalid"
        return Verdict(path, is_valid, tuple(sentences), {**facts, "valid": is_valid})

    def _log(
        self, digest: str, photo: Photo | None, found: Credentials | None, marked: mark.Found | None
    ) -> tuple[list[str], dict[str, Any] | None]:
        """Return sentences on what the log knows, and the line that speaks of a file."""
        if not self.has_log:
            return ["Log: there is none here that can be read."], None
        if entry := self._by_file.get(digest):
            return [f"Log: exactly this file was sealed {_at(entry)}."], {"match": "file", **asdict(entry)}
        if photo is not None and (entry := self._by_pixels.get(pixels_digest(photo))):
            sentence = f"Log: these pixels were sealed {_at(entry)}; the rest of the file has changed since."
            return [sentence], {"match": "pixels", **asdict(entry)}
        # Anybody can write any id into credentials of their own.
        stated = str((found.seal or {}).get("id", "")) if found is not None and found.state == "trusted" else ""
        if entry := self._by_id.get("" if marked is None else _id(marked)) or self._by_id.get(stated):
            sentence = f"Log: a picture with this id was sealed {_at(entry)}; this may be a changed copy of it,"
            sentence += " or the id was copied onto another picture."
            return [sentence], {"match": "id", **asdict(entry)}
        if marked is not None:
            return ["Log: it has no line with the id of the mark."], None
        return ["Log: it has no line on this file."], None


def summary(verdicts: Sequence[Verdict], unread: int = 0) -> str:
    """Return a sentence on several files; it names those that are not valid, and counts those that were not read."""
    counts = Counter(_kind(each) for each in verdicts)
    wrong = [str(each.path) for each in verdicts if not each.is_valid]
    named = f" ({', '.join(wrong[:8])}{', ...' if len(wrong) > 8 else ''})" if wrong else ""
    parts = [f"{counts[True]} with valid credentials", f"{counts[None]} without", f"{counts[False]} NOT VALID{named}"]
    parts += [f"{unread} that cannot be read"] if unread else []
    return f"{counted(len(verdicts) + unread, 'file')}: {', '.join(parts)}."


def _kind(verdict: Verdict) -> bool | None:
    """Return whether credentials are valid; None where there are none, and nothing is wrong."""
    if not verdict.is_valid:
        return False
    return True if verdict.facts["credentials"] else None


def files_of(path: Path) -> list[Path]:
    """Return a file, or the pictures and videos in a folder and its subfolders.

    Raises:
        InputError: a folder has none.
    """
    if not os.path.isdir(path):
        return [path]
    contents = scan_folder(path)
    videos = [each.path for each in contents.left_out if each.is_file and each.path.suffix.lower() in _VIDEOS]
    if not (found := sorted([*contents.pictures, *videos])):
        raise InputError(f"no picture and no video lies in the folder {path}; name another, or a file")
    return found


def _is_video(path: Path, kind: str | None) -> bool:
    """Return whether a file begins like a video; its frames are not decoded."""
    if kind is not None:
        return kind.startswith("video/")
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError:
        return False
    return head.startswith(_EBML) or head[4:] in _ATOMS


def _photo(path: Path) -> Photo | None:
    """Return the picture in a file; None where it cannot be decoded, for example since it is no picture."""
    try:
        return read_photo(path)
    except SfumatoError:
        return None


def _id(found: mark.Found) -> str:
    return f"{found.number:016x}"


def _mark_sentences(
    is_video: bool, photo: Photo | None, marked: mark.Found | None, found: Credentials | None
) -> Iterator[str]:
    if is_video:
        yield "Invisible mark: not searched for; only pictures have one."
    elif photo is None:
        yield "Invisible mark: not searched for; the file could not be read as a picture."
    elif marked is None:
        yield "Invisible mark: none found. That says nothing: it can be removed, and small pictures have none."
    else:
        yield f"Invisible mark: found, with the id {_id(marked)}. Sfumato writes such marks, and so can others."
        stated = None if found is None or found.state == "invalid" else (found.seal or {}).get("id")
        if isinstance(stated, str) and stated != _id(marked):
            yield f"The credentials state another id: {short(stated)}."


def _at(entry: Entry) -> str:
    return f"on {entry.time[:10]} at {entry.time[11:19]} UTC (id {entry.id})"


def _credential_sentences(found: Credentials | None, is_readable: bool, kind: str | None) -> Iterator[str]:
    if found is None:
        if not is_readable:
            yield "Content credentials: none found. The file is not a picture that can be read, nor a video."
        elif kind is None:
            yield "Content credentials: none; this format cannot hold them."
        else:
            yield "Content credentials: none. That says nothing: most programs remove them when they save a picture."
        return
    if found.state == "invalid":
        reasons = list(dict.fromkeys(meaning(each) for each in found.failures if each.code != _UNTRUSTED))
        yield f"Content credentials: NOT VALID: {'; '.join(reasons) or 'the library gives no reason'}."
        if found.failures and all(each.code == "damaged" for each in found.failures):
            return
        yield "Nothing that they say can be relied on."
    else:
        yield "Content credentials: valid; the file has not changed since it was signed."
    signer = short(found.signer) or "an unnamed certificate"
    if found.state == "trusted":
        yield f"Signed by {signer}, a certificate that you trust."
    elif found.state == "valid":
        yield f"Signed by {signer}, a certificate that you do not trust: anybody can make one with any name."
    yield from _claims(found)


def _claims(found: Credentials) -> Iterator[str]:
    """Say what credentials state."""
    made = short(found.generator) or "an unnamed program"
    words = [_SOURCE_TYPES.get(each, short(each)) for each in found.source_types]
    types = f" ({', '.join(words)})" if words else ""
    yield f"They say: made by {made}{types}, by {', '.join(map(short, found.actions)) or 'no stated action'}."
    for each in found.ingredients:
        facts = [f"SHA-256 {short(each.sha256)[:12]}"] if each.sha256 else []
        facts += [f"licence: {short(each.licence)}"] if each.licence else []
        facts += ["with credentials of its own"] if each.has_credentials else []
        more = f" ({'; '.join(facts)})" if facts else ""
        yield f"  from {short(each.title) or 'an unnamed source'}{more}"
    if found.seal is not None:
        named = ("model", "quality", "strength", "stroke", "color", "seed")
        settings = [f"{name} {short(str(found.seal[name]))}" for name in named if name in found.seal]
        styles = found.seal.get("styles")
        settings += [f"style {short(str(each))}" for each in styles[:8]] if isinstance(styles, list) else []
        yield f"  settings: {', '.join(settings) or 'none'}"
        if "model" in found.seal:
            yield "  These licences are those of the style's pictures. sfumato licences FILE also covers the weights."


def meaning(failure: Failure) -> str:
    """Return in words what a failure means."""
    if failure.code == "assertion.hashedURI.mismatch":
        if "c2pa.ingredient" in failure.about:
            return "what they say about a source was changed after signing"
        return f"what they state was changed after signing ({short(failure.about.rpartition('/')[2])})"
    for code, words in _MEANINGS:
        if failure.code.startswith(code):
            return words
    return f"{short(failure.code)}: {short(failure.explanation)}"


def _as_json(found: Credentials | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def log_sentence(verifier: Verifier) -> str:
    """Return a sentence on the log as a whole."""
    if verifier.log_problems:
        return f"The log itself is NOT VALID: {'; '.join(verifier.log_problems[:5])}."
    torn = f" {TORN}" if verifier.is_torn else ""
    if not verifier.lines:
        return f"The log is empty.{torn}"
    lines = counted(verifier.lines, "line")
    if not verifier.has_end:  # a killed process leaves it out too, so it is no problem by itself
        return f"The log itself: {lines}, but its end is not stored, so missing lines cannot be told.{torn}"
    fit = "which fits" if verifier.lines == 1 else "which fit each other and"
    return f"The log itself: {lines}, {fit} the stored end.{torn}"
