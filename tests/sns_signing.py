"""Signs notifications as Amazon SNS does, with a key of the tests.

The text that is signed is put together here once more, from AWS's documentation and not from our
code, so that a mistake in ours shows.
"""

import base64
import json
import uuid
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TOPIC = "arn:aws:sns:us-east-1:000000000000:test-mail-feedback"
CERT_URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem"


@lru_cache(maxsize=2)
def _key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Signer:
    """A key with its certificate; each is another one, from a few that are made once."""

    _made = 0

    def __init__(self, now: datetime) -> None:
        Signer._made += 1
        self._key = _key(Signer._made % 2)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .sign(self._key, hashes.SHA256())
        )
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)

    def notification(
        self,
        message: str,
        at: datetime,
        *,
        topic: str = TOPIC,
        cert_url: str = CERT_URL,
        version: str = "2",
        subject: str | None = None,
    ) -> str:
        """The body of a message that SNS would put on a queue."""
        fields = {
            "Type": "Notification",
            "MessageId": str(uuid.uuid4()),
            "TopicArn": topic,
            "Message": message,
            "Timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.000Z",
        }
        if subject is not None:
            fields["Subject"] = subject
        signed = "".join(f"{name}\n{fields[name]}\n" for name in sorted(fields))
        digest = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303 - SNS version 1
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), digest)
        return json.dumps(
            {
                **fields,
                "SignatureVersion": version,
                "Signature": base64.b64encode(signature).decode(),
                "SigningCertURL": cert_url,
                "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
            }
        )


class StoredCertificate:
    """The certificates port, with one certificate for every address."""

    def __init__(self, pem: bytes) -> None:
        self._pem = pem

    async def get(self, url: str) -> bytes:
        return self._pem

    async def close(self) -> None:
        pass
