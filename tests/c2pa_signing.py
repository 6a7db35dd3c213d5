"""A chain of certificates made for one test, with which C2PA manifests can be signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

USAGES: tuple[str, ...] = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
)
USAGES += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


def make_chain() -> tuple[bytes, bytes]:
    """The chain, leaf first, and the leaf's private key, both as PEM."""
    x509 = pytest.importorskip("cryptography.x509")
    hashes, serialization, ec = (
        pytest.importorskip(f"cryptography.hazmat.primitives.{name}")
        for name in ("hashes", "serialization", "asymmetric.ec")
    )
    now = datetime.now(UTC) - timedelta(minutes=5)
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, leaf_name = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in ("root", "leaf"))

    def certificate(subject: Any, key: Any, is_root: bool, usages: tuple[str, ...]) -> Any:
        usage = x509.KeyUsage(**{name: name in usages for name in USAGES})
        builder = x509.CertificateBuilder().issuer_name(root_name).subject_name(subject).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
        builder = builder.not_valid_after(now + timedelta(days=1)).add_extension(usage, True)
        builder = builder.add_extension(x509.BasicConstraints(is_root, None), True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        if not is_root:
            purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
            builder = builder.add_extension(purpose, False).add_extension(issuer, False)
        return builder.sign(root_key, hashes.SHA256())

    root = certificate(root_name, root_key, True, ("key_cert_sign", "crl_sign"))
    leaf = certificate(leaf_name, leaf_key, False, ("digital_signature",))
    pem = serialization.Encoding.PEM
    key = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return bytes(leaf.public_bytes(pem) + root.public_bytes(pem)), bytes(key)
