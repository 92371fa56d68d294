"""A lock of hosts that share a study server: held there for as long as a call of this process lasts."""

from typing import Any

from grokking.search.grpc_library import reason, require_grpc
from grokking.search.lock_service import METHOD, SERVICE
from grokking.search.server_address import read_address

# A server whose host is gone is given up after a minute: it is asked whether it lives, and has 30 s to answer
OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 30_000),
    ("grpc.http2.max_pings_without_data", 0),  # ask however long the lock is waited for
)


class ServedLock:
    """Ends with the connection of the process that holds it."""

    def __init__(self, url: str, name: str) -> None:
        self.grpc, self.name = require_grpc(), name.encode()
        channel = self.grpc.insecure_channel(read_address(url).target, OPTIONS)
        self.hold = channel.unary_stream(f"/{SERVICE}/{METHOD}")
        self.call: Any = None

    def acquire(self) -> None:
        """Wait for the server's word; ConnectionError where there is no study server."""
        self.call = self.hold(self.name)
        try:
            next(self.call)
        except self.grpc.RpcError as error:
            raise ConnectionError(self._message(error)) from None
        except BaseException:  # Ctrl-C
            self.call.cancel()
            raise

    def release(self) -> None:
        """End the call; ConnectionError where the server had ended it before."""
        was_held = self.call.is_active()
        self.call.cancel()
        if not was_held:
            raise ConnectionError("the server has ended the lock of the study while it was held")

    def _message(self, error: Any) -> str:
        if error.code() == self.grpc.StatusCode.UNIMPLEMENTED:
            return "it is another gRPC server; start python -m pipelines.study_server"
        return reason(error)
