"""``sfumato keys``: show the keys that sign pictures, make them, or use a certificate of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.output import say, say_json
from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.provenance.keys import Keys

_WORTH = (
    "This certificate was made by Sfumato on this machine. It proves two things: a file has not changed since it was "
    "signed, and the same key signed all files with this certificate. It does not prove who you are: anybody can make "
    "one with the same name. Give anchors.pem to those who are to recognise your files (sfumato verify --trust "
    "anchors.pem), by a way that they trust. Programs of others show it as unknown.",
    "Keep the folder secret, and keep a copy of it: who has the key can sign as you, and without it nobody can.",
)


def keys(
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Sign with this certificate from now on: its PEM file, with those above it after it. Needs --key.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="The private key of --certificate, without a password.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the certificate that is there, and its private key.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the keys that sign pictures; make them if there are none."""
    from sfumato.provenance.issued import use_certificate
    from sfumato.provenance.keys import Keys

    if (certificate is None) != (key is None):
        raise UsageError("--certificate and --key belong together; give both")
    if overwrite and certificate is None:
        raise UsageError("--overwrite replaces a certificate by another; name that one with --certificate and --key")
    if certificate is not None and key is not None:
        use_certificate(certificate, key, overwrite=overwrite)
    _tell(Keys.open(), as_json)


def _tell(found: Keys, as_json: bool) -> None:
    from cryptography.hazmat.primitives import hashes

    from sfumato.provenance.keys import log_path

    first = found.certificates[0]
    facts = {
        "signer": first.subject.rfc4514_string(),
        "made by": "Sfumato, on this machine" if found.is_self_made else first.issuer.rfc4514_string(),
        "valid until": f"{first.not_valid_after_utc:%Y-%m-%d}",
        "SHA-256": first.fingerprint(hashes.SHA256()).hex(),
        "signature": found.algorithm,
        "keys": str(found.folder / "keys"),
        "log": str(log_path(found.folder)),
    }
    if as_json:
        say_json({**facts, "self_made": found.is_self_made}, 2)
        return
    for name, value in facts.items():
        say(f"{name:12} {value}")
    if found.is_self_made:
        say()
        for sentence in _WORTH:
            say(sentence)
