"""Keys of the stand-in: made from a name, so that every run has the same ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import ecdsa
from ecdsa.util import sigdecode_der, sigencode_der_canonize


@dataclass(frozen=True)
class Key:
    """A private key."""

    secret: bytes

    @classmethod
    def named(cls, name: str) -> Key:
        """Make the key of a name."""
        return cls(hashlib.sha256(name.encode()).digest())

    @cached_property
    def _signer(self) -> ecdsa.SigningKey:
        return ecdsa.SigningKey.from_string(self.secret, curve=ecdsa.SECP256k1)

    @cached_property
    def public(self) -> bytes:
        """The compressed public key."""
        return bytes(self._signer.get_verifying_key().to_string("compressed"))

    def sign(self, digest: bytes, *, extra: int = 0) -> bytes:
        """Sign as block.io does: deterministic, with a short R; another signature for each ``extra``.

        :returns: DER, without the kind of hash.
        """
        counter = 0
        while True:
            entropy = (counter + (extra << 64)).to_bytes(32, "little") if counter or extra else b""
            signature = self._signer.sign_digest_deterministic(
                digest, hashlib.sha256, sigencode_der_canonize, extra_entropy=entropy
            )
            if signature[3] == 32 and signature[4] < 128:
                return bytes(signature)
            counter += 1


def verify(public: bytes, signature: bytes, digest: bytes) -> bool:
    """Tell whether a signature (DER) is right."""
    key = ecdsa.VerifyingKey.from_string(public, curve=ecdsa.SECP256k1)
    try:
        return bool(key.verify_digest(signature, digest, sigdecode=sigdecode_der))
    except (ecdsa.BadSignatureError, ecdsa.der.UnexpectedDER):
        return False
