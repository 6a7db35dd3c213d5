"""X.509 certificates and private keys in PEM, as C2PA takes them. The caller has checked that the extra is there."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.x509 import Certificate

#: Organisation in the certificates that Sfumato makes.
SELF_MADE = "Sfumato, self-made"
_YEARS = 10


def make_chain() -> tuple[list[Certificate], Any]:
    """Return a new certificate with its root, and its private key (ES256).

    The key of the root is not returned, so that nobody can make a second certificate of it.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    return [_leaf(key.public_key(), root), _root(root)], key


def organisation(name: Any) -> str:
    """Return the organisation in a name of X.509; empty if there is none."""
    from cryptography.x509.oid import NameOID

    found = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def _root(key: Any) -> Certificate:
    from cryptography import x509

    basic = x509.BasicConstraints(ca=True, path_length=None)
    made = _builder("Sfumato root", "Sfumato root", key.public_key())
    made = made.add_extension(basic, True).add_extension(_usage(key_cert_sign=True, crl_sign=True), True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return _signed(made, key)


def _leaf(public: Any, root: Any) -> Certificate:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    own = x509.SubjectKeyIdentifier.from_public_key(public)
    made = _builder(f"Sfumato signer {own.digest.hex()[:8]}", "Sfumato root", public)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    made = made.add_extension(_usage(digital_signature=True), True)
    # C2PA 2 has a purpose of its own, which its library refuses by default; it takes this one.
    made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    made = made.add_extension(own, False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)
    return _signed(made, root)


def _builder(subject: str, issuer: str, public: Any) -> Any:
    """Return a certificate without extensions. It is valid from the beginning of the day, and so tells no hour.

    It is valid for long, since there is no time stamp without a network: when it ends, all that it signed becomes
    invalid.
    """
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def name(common: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, SELF_MADE), x509.NameAttribute(NameOID.COMMON_NAME, common)]
        )

    today = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    made = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(public)
    made = made.serial_number(x509.random_serial_number())
    return made.not_valid_before(today).not_valid_after(today + datetime.timedelta(days=365 * _YEARS))


def _usage(**wanted: bool) -> Any:
    from cryptography import x509

    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    names += " crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names.split()})


def _signed(made: Any, key: Any) -> Certificate:
    from cryptography.hazmat.primitives import hashes

    found: Certificate = made.sign(key, hashes.SHA256())
    return found


def algorithm(key: Any, certificate: Certificate, where: str) -> str:
    """Return C2PA's name of the signatures of a key, such as ``ES256``.

    Raises:
        InputError: the key does not belong to the certificate, or is of a kind that C2PA does not use; ``where`` is its
            file in the error.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = certificate.public_key()
    if _public(key.public_key(), Encoding, PublicFormat) != _public(public, Encoding, PublicFormat):
        raise InputError(f"{where} is not the private key of the first certificate; name the two that belong together")
    if isinstance(public, ec.EllipticCurvePublicKey):
        found = {256: "ES256", 384: "ES384", 521: "ES512"}.get(public.curve.key_size)
    elif isinstance(public, rsa.RSAPublicKey):
        found = "PS256" if public.key_size >= 2048 else None
    else:
        found = "ED25519" if isinstance(public, ed25519.Ed25519PublicKey) else None
    if found is None:
        raise InputError(f"{where} is of a kind that C2PA does not use; use ES256, ES384, ES512, PS256 or Ed25519")
    return found


def _public(key: Any, encoding: Any, format: Any) -> bytes:
    return bytes(key.public_bytes(encoding.DER, format.SubjectPublicKeyInfo))


def check_time(certificate: Certificate, where: Path) -> None:
    """Raise InputError for a certificate that is not valid today."""
    now = datetime.datetime.now(datetime.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InputError(
            f"the certificate {where} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, and not today; name another one"
        )


def parse_chain(content: bytes, where: str) -> list[Certificate]:
    """Return the certificates in PEM; raise InputError where there are none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as problem:
        raise InputError(
            f"{where} holds no certificate in PEM; restore it from a copy, or name another file"
        ) from problem


def parse_key(content: bytes, where: str) -> Any:
    """Return the private key in PEM; raise InputError where there is none, or it has a password."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(content, None)
    except TypeError as problem:
        raise InputError(f"{where} has a password; store it without one (openssl pkey -in KEY -out NEW)") from problem
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise InputError(
            f"{where} holds no private key in PEM; restore it from a copy, or name another file"
        ) from problem


def parse_public_key(content: bytes, where: Path) -> Ed25519PublicKey:
    """Return the public key in PEM; raise InputError where there is none of the kind Ed25519."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{where} holds no public key of the kind Ed25519 in PEM; restore it from a backup")
    return key


def public_to_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def to_pem(certificate: Certificate) -> bytes:
    """Return a certificate in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def key_to_pem(key: Any) -> bytes:
    """Return a private key in PEM (PKCS #8), without a password."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
