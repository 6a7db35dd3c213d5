"""A certificate that others issued to the user, in place of the one that Sfumato makes."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from sfumato.errors import InputError, OutputError, UsageError
from sfumato.provenance import credentials
from sfumato.provenance.certificates import algorithm, check_time, key_to_pem, parse_chain, parse_key, to_pem
from sfumato.provenance.keys import Keys, check_extra, has_keys, provenance_folder, read_pem, store


def use_certificate(chain: Path, key: Path, folder: Path | None = None, overwrite: bool = False) -> Keys:
    """Store a certificate and its key, for signing from now on; return the keys.

    Args:
        chain: PEM file with the certificate, then those that signed it.
        key: PEM file of its private key, without a password.
        folder: by default `provenance_folder`.
        overwrite: whether the certificate that is there may be replaced. `verify` trusts a self-made one still.

    Raises:
        InputError: a file cannot be used, or credentials that it signs are not valid.
        OutputError: the files cannot be written.
        UsageError: there is another certificate, and it may not be replaced.
    """
    check_extra()
    folder = provenance_folder() if folder is None else folder
    if has_keys(folder) and not overwrite:
        raise UsageError(f"{folder} has a certificate already; add --overwrite to replace it and its private key")
    certificates, private = parse_chain(read_pem(chain), str(chain)), parse_key(read_pem(key), str(key))
    algorithm(private, certificates[0], str(key))
    check_time(certificates[0], chain)
    found = Keys(folder, b"".join(map(to_pem, certificates)), key_to_pem(private))
    if problem := _try(found):
        raise InputError(
            f"content credentials cannot be signed with {chain}: {problem}; it needs a certificate for signing "
            "(keyUsage digitalSignature, extendedKeyUsage emailProtection), followed by those above it"
        )
    store(found)
    return found


def _try(keys: Keys) -> str | None:
    """Return why keys cannot sign credentials that are valid, as words of a sentence; None if they can."""
    plain, signed = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (16, 16)).save(plain, "PNG")
    try:
        credentials.sign(plain, signed, credentials.Statement({}), keys)
    except OutputError as problem:
        return str(problem)
    found = credentials.read(signed, to_pem(keys.certificates[-1]).decode("ascii"))
    if found is None or found.state != "trusted":
        return "; ".join(each.explanation for each in found.failures) if found else "nothing was written"
    return None
