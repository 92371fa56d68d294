"""A team's MLflow server: which address is one, and what its refusals mean."""

import os
from urllib.parse import urlsplit

from grokking.storage.addresses import without_passwords

UNKNOWN, FORBIDDEN = 401, 403
CODES = {"UNAUTHENTICATED": UNKNOWN, "PERMISSION_DENIED": FORBIDDEN}
UNREACHABLE = ("failed with exception", "failed with timeout")  # MLflow's words, and nothing else tells


def is_server(uri: str) -> bool:
    """Whether a tracking URI leads to a server; else the store is a database that this process opens."""
    return uri.startswith(("http://", "https://"))


def shown(uri: str) -> str:
    """A server's address without a user and a password, as one opens it in a browser."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def refusal(error: Exception, uri: str) -> str | None:
    """What a server's refusal means and what to do; None where the error is another."""
    server, user = shown(uri), os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    if _status(error) == UNKNOWN:
        return (
            f"{server} knows no such user or password; set `MLFLOW_TRACKING_USERNAME` and "
            "`MLFLOW_TRACKING_PASSWORD` to yours"
        )
    if _status(error) == FORBIDDEN:
        return (
            f"{server} lets the user `{user}` read and not write; ask its administrator to make you a "
            f"member: python -m pipelines.member {user}"
        )
    if any(words in str(error) for words in UNREACHABLE):
        advice = "does not answer; start it, or mend or unset `MLFLOW_TRACKING_URI`"
        return f"{without_passwords(server)} {advice}"
    return None


def _status(error: Exception) -> int | None:
    """The status of the answer; for artifacts MLflow raises the error of its HTTP library."""
    answer = getattr(error, "response", None)
    return CODES.get(getattr(error, "error_code", ""), getattr(answer, "status_code", None))
