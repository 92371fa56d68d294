"""Addresses of databases and servers, as they may be shown."""

import re

# after the user's name, up to the last @ of the word: a password that was not encoded may hold anything
LOGIN = re.compile(r"(://[^\s:/@]*:)\S*@")
QUERY = re.compile(r"([?&;](?:password|passwd|pwd|token|secret)=)[^\s&;]*", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """A text with *** for the password of every address in it."""
    return QUERY.sub(r"\1***", LOGIN.sub(r"\1***@", text))
