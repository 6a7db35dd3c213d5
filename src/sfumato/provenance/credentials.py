"""Content credentials (C2PA): signed statements inside a file on how it was made, and from what.

The manifest that Sfumato writes has two actions: the photo was opened, and it was edited with trained models. Its
ingredients are the photo and the pictures of the styles, with their hashes and licences. `LABEL` names an assertion of
Sfumato's own with the id of the seal and the settings of the painting. No name or path of the user is in it.

Only the c2pa library parses and writes credentials. It gets no network: neither remote manifests nor the state of
certificates are fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from sfumato import __version__
from sfumato.errors import OutputError, first_line, needs_extra
from sfumato.provenance.keys import Keys
from sfumato.provenance.sources import Source

#: Label of Sfumato's own assertion.
LABEL = "org.sfumato.seal"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SOURCE = "source"
#: The do-not-train mark (CAWG Training and Data Mining 1.1); `image.reservation` reads it.
_RESERVED = {
    "label": "cawg.training-mining",
    "data": {
        "entries": {
            f"cawg.{use}": {"use": "notAllowed"} for use in ("ai_generative_training", "ai_training", "data_mining")
        }
    },
}
_SNIFF = 32  # bytes
_BRANDS = {b"qt  ": "video/quicktime", b"avif": "image/avif", b"avis": "image/avif"}
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def media_type(head: bytes) -> str | None:
    """Return the media type of a file by its first 32 bytes; None for one that cannot hold credentials."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"II*\0", b"MM\0*")):
        return "image/tiff"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "image/heic" if brand in _HEIC else _BRANDS.get(brand, "video/mp4")
    return None


def media_type_of(file: BinaryIO) -> str | None:
    """Return the media type of an open file, as `media_type`; its place becomes the beginning."""
    file.seek(0)
    head = file.read(_SNIFF)
    file.seek(0)
    return media_type(head)


# ---- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statement:
    """What credentials say about a file.

    Attributes:
        seal: values of Sfumato's own assertion.
        source_sha256: of the file that was painted; "" if there was none.
        sources: the pictures of the styles.
        source_type: IPTC's word for how the file was made.
        kind: of the file that was painted.
        is_reserved: whether the owner of that file reserved it from training.
    """

    seal: Mapping[str, Any]
    source_sha256: str = ""
    sources: Sequence[Source] = ()
    source_type: str = "compositeWithTrainedAlgorithmicMedia"
    kind: Literal["photo", "video"] = "photo"
    is_reserved: bool = False


def sign(file: BinaryIO, out: BinaryIO, statement: Statement, keys: Keys) -> None:
    """Write a file with credentials.

    Args:
        file: the finished file, open for reading.
        out: open for reading and writing.
        statement: what they say.
        keys: that sign.

    Raises:
        OutputError: the file cannot hold credentials, or they cannot be signed.
    """
    kind = media_type_of(file)
    if kind is None:
        raise OutputError("a file of this format cannot hold content credentials")
    c2pa = _library()
    try:
        with c2pa.Context.from_dict(_settings("")) as context, _signer(c2pa, keys) as signer:
            builder = c2pa.Builder.from_json(json.dumps(_manifest(statement, kind)), context=context)
            builder.sign(signer, kind, file, out)
    except c2pa.C2paError as problem:
        raise OutputError(f"content credentials cannot be signed: {_reason(problem)}") from problem


def _manifest(statement: Statement, kind: str) -> dict[str, Any]:
    agent = {"name": "Sfumato", "version": __version__}
    names = [f"style-{number}" for number in range(1, len(statement.sources) + 1)]
    edited = {
        "action": "c2pa.edited",
        "softwareAgent": agent,
        "digitalSourceType": _SOURCE_TYPES + statement.source_type,
        "parameters": {"ingredientIds": names},
    }
    if not names:
        del edited["parameters"]
    # By its hash alone: the library would copy the source's credentials, with its place, device and thumbnail.
    opened: dict[str, Any] = {
        "title": statement.kind,
        "relationship": "parentOf",
        "instance_id": _SOURCE,
        "label": _SOURCE,
    }
    if statement.source_sha256:
        opened["metadata"] = {"sha256": statement.source_sha256}
    pictures = [
        {
            "title": source.title,
            "relationship": "inputTo",
            "instance_id": name,
            "label": name,
            "metadata": {"sha256": source.sha256, "licence": source.licence},
        }
        for name, source in zip(names, statement.sources, strict=True)
    ]
    return {
        "claim_generator_info": [agent],
        "format": kind,
        "title": "painted by Sfumato",
        "ingredients": [opened, *pictures],
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {"actions": [{"action": "c2pa.opened", "parameters": {"ingredientIds": [_SOURCE]}}, edited]},
            },
            {"label": LABEL, "data": dict(statement.seal)},
            *([_RESERVED] if statement.is_reserved else []),
        ],
    }


def _signer(c2pa: Any, keys: Keys) -> Any:
    algorithm = getattr(c2pa.C2paSigningAlg, keys.algorithm)
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, keys.chain, keys.key, None))


# ---- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """Something that is wrong with credentials: the code of C2PA, what it is about, and the library's words."""

    code: str
    about: str
    explanation: str


@dataclass(frozen=True)
class Ingredient:
    """What a file was made from, as credentials say; ``has_credentials``: it had some of its own."""

    title: str
    relationship: str
    sha256: str
    licence: str
    has_credentials: bool


@dataclass(frozen=True)
class Credentials:
    """The credentials of a file. All texts come from the file, and may be of anybody.

    Attributes:
        state: ``trusted``: valid, and signed by a trusted certificate; ``valid``: valid, of an unknown signer;
            ``invalid``.
        signer: organisation or name in the certificate.
        generator: the program that made the file.
        source_types: of the actions, such as ``compositeWithTrainedAlgorithmicMedia``.
        actions: such as ``c2pa.opened``.
        ingredients: what it was made from.
        seal: Sfumato's own assertion; None in credentials of others.
        failures: what is wrong.
    """

    state: Literal["trusted", "valid", "invalid"]
    signer: str = ""
    generator: str = ""
    source_types: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    ingredients: tuple[Ingredient, ...] = ()
    seal: Mapping[str, Any] | None = None
    failures: tuple[Failure, ...] = ()


def has_seal(content: bytes) -> bool:
    """Return whether a picture's file has credentials by Sfumato; whether they are valid is not checked."""
    return LABEL.encode() in content


def read(file: BinaryIO, anchors: str) -> Credentials | None:
    """Return the credentials in an open file; None if there are none.

    Args:
        file: the file.
        anchors: certificates in PEM whose signatures are trusted.

    Raises:
        MissingExtraError: the extra ``provenance`` is not installed.
    """
    kind = media_type_of(file)
    if kind is None:
        return None
    c2pa = _library()
    try:
        with c2pa.Context.from_dict(_settings(anchors)) as context:
            reader = c2pa.Reader.try_create(kind, file, context=context)
            if reader is None:
                return None
            with reader:
                return _parsed(json.loads(reader.json()))
    except (c2pa.C2paError, ValueError, TypeError, KeyError, AttributeError) as problem:
        return Credentials("invalid", failures=(Failure("damaged", "", _reason(problem)),))


def _parsed(found: Mapping[str, Any]) -> Credentials:
    """Return what the library's JSON says; it raises where values that strangers wrote have other types."""
    manifest = found["manifests"][found["active_manifest"]]
    actions = [
        action
        for each in manifest.get("assertions", ())
        if each["label"].startswith("c2pa.actions")
        for action in each["data"]["actions"]
    ]
    seal = next((each["data"] for each in manifest.get("assertions", ()) if each["label"] == LABEL), None)
    generators = manifest.get("claim_generator_info") or [{"name": manifest.get("claim_generator") or ""}]
    signature = manifest.get("signature_info") or {}
    state = str(found.get("validation_state", "invalid")).lower()
    types = [str(action["digitalSourceType"]).rpartition("/")[2] for action in actions if "digitalSourceType" in action]
    return Credentials(
        state if state in ("trusted", "valid") else "invalid",  # type: ignore[arg-type]
        " / ".join(str(signature[key]) for key in ("issuer", "common_name") if signature.get(key)),
        " ".join(str(generators[0][key]) for key in ("name", "version") if generators[0].get(key)),
        tuple(dict.fromkeys(types)),
        tuple(str(action["action"]) for action in actions),
        tuple(map(_ingredient, manifest.get("ingredients", ()))),
        seal if isinstance(seal, dict) else None,
        tuple(_failures(found)),
    )


def _ingredient(found: Mapping[str, Any]) -> Ingredient:
    more = found.get("metadata")
    facts = more if isinstance(more, dict) else {}
    return Ingredient(
        str(found.get("title", "")),
        str(found.get("relationship", "")),
        str(facts.get("sha256", "")),
        str(facts.get("licence", "")),
        "active_manifest" in found,
    )


def _failures(found: Mapping[str, Any]) -> Iterator[Failure]:
    results = found.get("validation_results") or {}
    lists = [results.get("activeManifest") or {}]
    lists += [each.get("validationDeltas") or {} for each in results.get("ingredientDeltas") or ()]
    for each in lists:
        for failure in each.get("failure") or ():
            yield Failure(str(failure["code"]), str(failure.get("url", "")), str(failure.get("explanation", "")))


def _settings(anchors: str) -> dict[str, Any]:
    """Return the library's settings: without network, thumbnails, or other trusted certificates than ours."""
    settings: dict[str, Any] = {
        "version_major": 1,
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if anchors:
        settings["trust"] = {"user_anchors": anchors}
    return settings


def _reason(problem: Exception) -> str:
    return first_line(problem).rstrip(".")


def _library() -> Any:
    with needs_extra("provenance", "Provenance"):
        import c2pa
    return c2pa
