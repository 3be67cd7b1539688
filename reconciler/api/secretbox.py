"""Encryption at rest: what the database holds of a Secret is AES-256-GCM, under a key that lies beside it and not in it."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


class SecretBoxError(Exception):
    """The key is missing or does not fit."""


class SecretBox:
    """Seals and opens bytes for one place; what was sealed for another place does not open."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> SecretBox:
        """Read the key, or make one (mode 0600). SecretBoxError if the file holds no key."""
        if not path.exists():
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(os.urandom(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            said = f"it is no key of {KEY_BYTES} bytes; restore it, or remove that file and see what the next start says"
            raise SecretBoxError(f"cannot use {path}: {said}")
        return cls(key)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Encrypt for a place, which is not itself kept."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Decrypt. SecretBoxError if it was sealed with another key or for another place, or changed since."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except InvalidTag as e:
            raise SecretBoxError(f"cannot decrypt {place.decode()}: the key does not fit; restore the key file") from e
