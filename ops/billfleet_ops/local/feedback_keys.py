"""The key with which the embedded stack signs notices of its own making.

`stack` makes key and certificate once, in its home, and tells the fleet to believe this certificate
instead of Amazon's; `mail_play_in` signs with the key. So a bounce that is played in goes through
the same verification as a real one. Nothing outside this machine believes it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from billfleet_ops.errors import file_errors_mapped
from billfleet_ops.local.home import Home

CERTIFICATE: Final = "sns-certificate.pem"
KEY: Final = "sns-key.pem"
LIFE: Final = timedelta(days=3650)


def certificate_path(home: Home) -> Path:
    """Where the certificate lies, made with its key if it is not there yet."""
    path = home.secrets / CERTIFICATE
    with file_errors_mapped(path):
        if not path.exists() or not key_path(home).exists():
            _make(home, path)
    return path


def key_path(home: Home) -> Path:
    """Where the key lies."""
    return home.secrets / KEY


def _make(home: Home, path: Path) -> None:
    # Imported here, because starting a stack that has its key needs none of it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "billfleet on this machine")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFE)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    home.write_secret(KEY, private.decode())
    home.write_secret(path.name, certificate.public_bytes(serialization.Encoding.PEM).decode())
