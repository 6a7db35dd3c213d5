"""The keys that sign pictures and the log, in a folder that only its owner can read.

::

    provenance/           SFUMATO_PROVENANCE, or a folder in the user's data
      log.jsonl           the log (`log`)
      log-key.pem         the public key of the log, with which others check it
      keys/
        signer.pem        the private key, then its certificate and those above it: one file, so that it is replaced
                          as a whole or not at all
        anchors.pem       the root of the certificate that Sfumato made, which `verify` trusts
        log.pem           the private key of the log (Ed25519)
        head.json         the end of the log, by which a cut is found

A self-made certificate holds neither the name of the machine nor that of the user. The key of its root is deleted once
it has signed, so that nobody can make a second certificate of it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.errors import InputError, needs_extra
from sfumato.files import atomic_file, read_bytes, told
from sfumato.folders import data_folder
from sfumato.locks import locked
from sfumato.provenance.certificates import (
    SELF_MADE,
    algorithm,
    key_to_pem,
    make_chain,
    organisation,
    parse_chain,
    parse_key,
    parse_public_key,
    public_to_pem,
    to_pem,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.x509 import Certificate

#: Environment variable that names the folder.
PROVENANCE = "SFUMATO_PROVENANCE"
_SIGNER, _ANCHORS, _LOG_KEY, _LOG_PUBLIC = "signer.pem", "anchors.pem", "log.pem", "log-key.pem"
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_MAX_PEM = 2**20  # bytes
_MAKE = "run sfumato keys"


def provenance_folder() -> Path:
    """Return the folder of keys and log: ``$SFUMATO_PROVENANCE``, or one in the user's data folder.

    Raises:
        OutputError: there is no such folder.
    """
    return Path(os.environ.get(PROVENANCE) or data_folder() / "provenance")


@dataclass(frozen=True)
class Keys:
    """The keys of a folder.

    Attributes:
        folder: that contains the folder ``keys`` and the log.
        chain: the certificate and those above it, in PEM.
        key: its private key in PEM (PKCS #8).
    """

    folder: Path
    chain: bytes
    key: bytes = field(repr=False)

    @classmethod
    def open(cls, folder: Path | None = None, create: bool = True) -> Keys:
        """Return the keys of a folder.

        Args:
            folder: by default `provenance_folder`.
            create: whether keys are made where there are none.

        Raises:
            InputError: the files are missing or damaged, or others can read them.
            OutputError: they cannot be written.
            MissingExtraError: the extra ``provenance`` is not installed.
        """
        check_extra()
        folder = provenance_folder() if folder is None else folder
        if not has_keys(folder):
            if not create:
                raise InputError(f"there are no keys in {folder}; {_MAKE}, or name their folder with {PROVENANCE}")
            _make(folder)
        keys = folder / "keys"
        _check_private(keys, keys / _SIGNER, keys / _LOG_KEY)
        key, begin, chain = read_pem(keys / _SIGNER).partition(_BEGIN)
        found = cls(folder, begin + chain, key)
        _ = found.algorithm, found.log_key  # so that damage is told now
        return found

    @property
    def certificates(self) -> list[Certificate]:
        """The certificate that signs, and those above it."""
        return parse_chain(self.chain, str(self.folder / "keys" / _SIGNER))

    @property
    def algorithm(self) -> str:
        """The name of the signature in C2PA, such as ``ES256``.

        Raises:
            InputError: the key is damaged, does not belong to the certificate, or is of a kind that C2PA does not use.
        """
        where = str(self.folder / "keys" / _SIGNER)
        return algorithm(parse_key(self.key, where), self.certificates[0], where)

    @property
    def log_key(self) -> Ed25519PrivateKey:
        """The key that signs the log.

        Raises:
            InputError: it is damaged.
        """
        path = self.folder / "keys" / _LOG_KEY
        return _parse_log_key(read_pem(path), path)

    @property
    def is_self_made(self) -> bool:
        """Whether Sfumato made the certificate."""
        return organisation(self.certificates[-1].subject) == SELF_MADE


def is_installed() -> bool:
    """Return whether the extra ``provenance`` is installed."""
    return all(find_spec(name) is not None for name in ("c2pa", "cryptography"))


def has_keys(folder: Path) -> bool:
    """Return whether there are keys in a folder."""
    return os.path.isfile(folder / "keys" / _SIGNER)  # which is written last


def log_path(folder: Path) -> Path:
    """Return the file of the log."""
    return folder / "log.jsonl"


def head_path(folder: Path) -> Path:
    """Return the file that states the end of the log."""
    return folder / "keys" / "head.json"


def log_public_key(folder: Path) -> Ed25519PublicKey | None:
    """Return the key that checks the log, from its private key or, where that cannot be read, from the public one.

    Returns:
        None where there is neither.

    Raises:
        InputError: one cannot be read.
    """
    for path in (folder / "keys" / _LOG_KEY, folder / _LOG_PUBLIC):  # others may write the second, but not the first
        try:
            content = read_bytes(path, _MAX_PEM)
        except (FileNotFoundError, PermissionError):
            continue
        except OSError as problem:
            raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem
        return (
            parse_public_key(content, path) if path.name == _LOG_PUBLIC else _parse_log_key(content, path).public_key()
        )
    return None


def _parse_log_key(content: bytes, path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = parse_key(content, str(path))
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds no key of the kind Ed25519; restore it from a backup")
    return key


def anchors(folder: Path) -> str:
    """Return the self-made root, in PEM, which is the user's own; empty if there is none that may be read.

    The roots of certificates that others issued are not in it: they signed those of many people.

    Raises:
        InputError: the file cannot be read.
    """
    path = folder / "keys" / _ANCHORS
    return read_pem(path).decode("ascii", "replace") if os.access(path, os.R_OK) else ""


def read_anchors(path: Path) -> str:
    """Return the certificates of a PEM file whose signatures the user trusts.

    Raises:
        InputError: the file cannot be read, or holds no certificate.
    """
    check_extra()
    content = read_pem(path)
    parse_chain(content, str(path))
    return content.decode("ascii", "replace")


def store(keys: Keys) -> None:
    """Store a certificate and its key in their folder, in place of those that are there.

    Raises:
        OutputError: they cannot be written.
    """
    with _writing(keys.folder):
        _write(keys)


def _make(folder: Path) -> None:
    """Make keys, if no other process does so at the same time."""
    with _writing(folder):
        if not has_keys(folder):
            if os.path.exists(log_path(folder)):  # keys were in use, so new ones would replace them
                raise InputError(
                    f"{folder / 'keys' / _SIGNER} is missing, although files were sealed with it; restore it, or "
                    f"move {folder} away to begin with new keys"
                )
            chain, key = make_chain()
            _write(Keys(folder, b"".join(map(to_pem, chain)), key_to_pem(key)), {_ANCHORS: to_pem(chain[-1])})


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Create the folders, and hold their lock."""
    with told(f"cannot write keys into {folder}"):
        for each in (folder, folder / "keys"):
            each.mkdir(0o700, parents=True, exist_ok=True)
        with own_lock(folder / "keys" / ".lock"):
            yield


@contextmanager
def own_lock(path: Path) -> Iterator[None]:
    """Wait for the lock of a file that only its owner may open, and hold it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    with locked(path, lambda: None):
        yield


def _write(keys: Keys, more: Mapping[str, bytes] | None = None) -> None:
    """Write the files; the one that signs comes last, since it says that all are there."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder, path = keys.folder / "keys", keys.folder / "keys" / _LOG_KEY
    log_key = _parse_log_key(read_pem(path), path) if os.path.exists(path) else Ed25519PrivateKey.generate()
    wanted = {path: key_to_pem(log_key), keys.folder / _LOG_PUBLIC: public_to_pem(log_key.public_key())}
    wanted |= {folder / name: content for name, content in (more or {}).items()}
    for each, content in {**wanted, folder / _SIGNER: keys.key + keys.chain}.items():
        with atomic_file(each, private=True) as file:
            file.write(content)


# ---- files -----------------------------------------------------------------------------------------------------------


def read_pem(path: Path) -> bytes:
    """Return the bytes of a PEM file; raise InputError where it cannot be read."""
    try:
        return read_bytes(path, _MAX_PEM)
    except OSError as problem:
        raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem


def _check_private(*paths: Path) -> None:
    """Check that nobody else can read files, as ssh does."""
    if sys.platform == "win32":
        return
    for path in paths:
        try:
            others = stat.S_IMODE(os.stat(path).st_mode) & 0o077
        except OSError as problem:
            raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem
        if others:
            raise InputError(
                f"other users of this machine can read {path}; run chmod go-rwx {path}, and make new keys if one of "
                "them may have copied it"
            )


def check_extra() -> None:
    """Raise MissingExtraError where the extra ``provenance`` is not installed."""
    with needs_extra("provenance", "Provenance"):
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
