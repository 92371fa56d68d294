"""The gRPC library, which only searches through a study server need."""

import importlib.util
import os
from typing import Any

from grokking.config import ConfigError


def require_grpc() -> Any:
    """The module `grpc`; ConfigError where it is not installed."""
    if importlib.util.find_spec("grpc") is None:
        raise ConfigError("grpcio is not installed; run pip install -r requirements-server.txt")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would print beside the errors that it raises
    import grpc

    return grpc


def reason(error: Any) -> str:
    """Why a call failed, without the type of the call; of any other error what it says."""
    details = getattr(error, "details", None)  # of grpc.RpcError
    return str(details() if callable(details) else error)
