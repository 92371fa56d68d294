"""Hashes of what code computes."""

import hashlib
from collections.abc import Iterable

Digests = dict[str, dict[str, str]]  # name -> part of what it leaves -> SHA-256


def sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
