"""Keys: made once, for their owner alone, without names; or those of the user."""

from __future__ import annotations

import datetime
import io
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealing import painted
from sfumato.errors import InputError, UsageError
from sfumato.provenance import credentials
from sfumato.provenance.certificates import key_to_pem, to_pem
from sfumato.provenance.issued import use_certificate
from sfumato.provenance.keys import Keys, anchors
from sfumato.provenance.seal import Seal
from sfumato.provenance.verify import Verifier
from support import assert_one_sentence, files, run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "provenance"))
    return tmp_path / "provenance"


def issue(
    folder: Path, key: Any, purpose: Any = ExtendedKeyUsageOID.EMAIL_PROTECTION, days: int = 30
) -> tuple[Path, Path]:
    """A certificate of a company, with its root; the files of chain and key."""
    root = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)

    def made(subject: str, public: Any, is_root: bool) -> x509.Certificate:
        def name(text: str) -> x509.Name:
            return x509.Name(
                [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ltd"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
            )

        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )
        builder = x509.CertificateBuilder(name("root"), name(subject), public, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=60))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(is_root, None), True)
        builder = builder.add_extension(
            x509.KeyUsage(
                digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, decipher_only=False, **usage
            ),
            True,
        )
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        if not is_root:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
            builder = builder.add_extension(authority, False)
        return builder.sign(root, hashes.SHA256())

    chain, path = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(to_pem(made("signer", key.public_key(), False)) + to_pem(made("root", root.public_key(), True)))
    path.write_bytes(key_to_pem(key))
    (folder / "root.pem").write_bytes(to_pem(x509.load_pem_x509_certificates(chain.read_bytes())[1]))
    return chain, path


def test_made_once_for_their_owner_alone(folder: Path) -> None:
    first = Keys.open()
    assert first.is_self_made
    assert first.algorithm == "ES256"
    again = Keys.open()
    assert (again.chain, again.key) == (first.chain, first.key)
    for path in (folder, folder / "keys"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    keys = [f"keys/{name}" for name in (".lock", "anchors.pem", "log.pem", "signer.pem")]
    assert files(folder) == [*keys, "log-key.pem"]
    for name in ("anchors.pem", "signer.pem", "log.pem", "../log-key.pem"):
        assert stat.S_IMODE((folder / "keys" / name).stat().st_mode) == 0o600
    assert first.key.decode() not in repr(first)


def test_the_key_of_the_root_is_not_kept(folder: Path) -> None:
    found = Keys.open()
    root = found.certificates[1].public_key()
    for path in (folder / "keys").glob("*.pem"):
        if b"PRIVATE" in path.read_bytes():
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            assert key.public_key() != root


def _open(folder: str, out: Any) -> None:
    out.put(Keys.open(Path(folder)).chain)


def test_two_processes_make_the_same_keys(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    processes = [context.Process(target=_open, args=(str(tmp_path / "p"), out)) for _ in range(3)]
    for each in processes:
        each.start()
    chains = {out.get(timeout=60) for _ in processes}
    for each in processes:
        each.join()
    assert len(chains) == 1


@pytest.mark.parametrize(("name", "mode"), [("signer.pem", 0o640), ("log.pem", 0o604), ("", 0o755)])
def test_keys_that_others_can_read_are_refused(name: str, mode: int, folder: Path) -> None:
    Keys.open()
    (folder / "keys" / name).chmod(mode)
    with pytest.raises(InputError, match=r"other users of this machine can read .*chmod go-rwx"):
        Keys.open()


@pytest.mark.parametrize("name", ["signer.pem", "log.pem"])
def test_damaged_keys_are_told(folder: Path, name: str) -> None:
    Keys.open()
    (folder / "keys" / name).write_bytes(b"nothing")
    assert_one_sentence(run("keys"), 3, f"{name} holds no")


def test_a_key_of_another_certificate_is_told(folder: Path) -> None:
    Keys.open()
    chain = Keys.open().chain
    (folder / "keys" / "signer.pem").write_bytes(key_to_pem(ec.generate_private_key(ec.SECP256R1())) + chain)
    with pytest.raises(InputError, match="is not the private key of the first certificate"):
        Keys.open()


def test_without_keys_none_are_made_unless_wanted(folder: Path) -> None:
    with pytest.raises(InputError, match=r"there are no keys in .*; run sfumato keys"):
        Keys.open(create=False)
    assert not folder.exists()


def test_the_command_shows_them_and_says_what_they_are_worth(folder: Path) -> None:
    told = run("keys")
    assert told.exit_code == 0
    assert "It does not prove who you are" in told.stdout
    assert f"{folder}/log.jsonl" in told.stdout
    assert run("keys").stdout == told.stdout
    assert '"self_made": true' in run("keys", "--json").stdout


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (lambda: rsa.generate_private_key(65537, 2048), "PS256"),
        (ed25519.Ed25519PrivateKey.generate, "ED25519"),
    ],
)
def test_a_certificate_of_the_user(make: Any, algorithm: str, folder: Path, tmp_path: Path) -> None:
    chain, key = issue(tmp_path, make())
    told = run("keys", "--certificate", chain, "--key", key)
    assert told.exit_code == 0
    assert "made by      CN=root,O=Ltd" in told.stdout
    assert "made by Sfumato" not in told.stdout
    assert Keys.open().algorithm == algorithm
    assert anchors(folder) == ""  # the company's root signs many
    Seal.open().write_photo(painted(), tmp_path / "a.jpg")
    assert Verifier()(tmp_path / "a.jpg").facts["credentials"]["state"] == "valid"
    assert Verifier(trust=(tmp_path / "root.pem",))(tmp_path / "a.jpg").facts["credentials"]["state"] == "trusted"


def test_a_certificate_replaces_the_own_one_only_if_told(folder: Path, tmp_path: Path) -> None:
    Seal.open().write_photo(painted(), tmp_path / "a.jpg")
    log_key = (folder / "keys" / "log.pem").read_bytes()
    chain, key = issue(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    assert_one_sentence(run("keys", "--certificate", chain, "--key", key), 2, "has a certificate already")
    assert run("keys", "--certificate", chain, "--key", key, "--overwrite").exit_code == 0
    assert not Keys.open().is_self_made
    assert Verifier()(tmp_path / "a.jpg").facts["credentials"]["state"] == "trusted"
    assert (folder / "keys" / "log.pem").read_bytes() == log_key


@pytest.mark.parametrize("last", range(1, 4))
def test_keys_of_a_process_that_dies_while_it_replaces_them_are_the_old_or_the_new_ones(
    last: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, (chain, key) = Keys.open(), issue(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    published = 0

    def dying(*names: str) -> None:
        nonlocal published
        published += 1
        replace(*names)
        if published == last:
            raise KeyboardInterrupt

    replace = os.replace
    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        use_certificate(chain, key, overwrite=True)
    monkeypatch.undo()
    found = Keys.open(folder)
    assert found.is_self_made == (last < 3)
    assert (found.key == old.key) == (last < 3)


def test_certificates_that_cannot_sign_are_refused(folder: Path, tmp_path: Path) -> None:
    chain, key = issue(tmp_path, ec.generate_private_key(ec.SECP256R1()), ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(InputError, match="content credentials cannot be signed with"):
        use_certificate(chain, key)
    chain, key = issue(tmp_path, ec.generate_private_key(ec.SECP256R1()), days=-1)
    with pytest.raises(InputError, match="and not today"):
        use_certificate(chain, key)
    chain, key = issue(tmp_path, rsa.generate_private_key(65537, 1024))
    with pytest.raises(InputError, match="of a kind that C2PA does not use"):
        use_certificate(chain, key)
    secret = ec.generate_private_key(ec.SECP256R1())
    chain, key = issue(tmp_path, secret)
    encrypted = serialization.BestAvailableEncryption(b"word")
    key.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encrypted))
    with pytest.raises(InputError, match="has a password"):
        use_certificate(chain, key)
    with pytest.raises(InputError, match="holds no certificate"):
        use_certificate(key, key)
    assert not folder.exists()
    assert_one_sentence(run("keys", "--certificate", chain), 2, "belong together")


def test_signed_files_are_read_without_the_keys(folder: Path, tmp_path: Path) -> None:
    content = Seal.open().seal_photo(painted(), "png").content
    root = (folder / "keys" / "anchors.pem").read_text()
    found = credentials.read(io.BytesIO(content), root)
    assert found is not None
    assert found.state == "trusted"
    with pytest.raises(UsageError):
        use_certificate(tmp_path / "none.pem", tmp_path / "none.pem")


def test_a_lost_certificate_is_not_replaced_by_another(tmp_path: Path) -> None:
    Keys.open(tmp_path)
    (tmp_path / "log.jsonl").touch()
    (tmp_path / "keys" / "signer.pem").unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    with pytest.raises(InputError, match=r"signer\.pem is missing, although files were sealed"):
        Keys.open(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()} == before
