"""The locks that a study server keeps for its clients: a gRPC service of one method, `Hold`.

A client holds the lock of a name for as long as its call lasts. So the lock ends with the client, however it
ends. The messages of the call are empty: the first says that the lock is held.
"""

import asyncio
from collections import defaultdict
from typing import Any

from grokking.search.grpc_library import require_grpc

SERVICE, METHOD = "grokking.StudyLocks", "Hold"
# A host that is gone does not acknowledge these messages, and TCP gives up its connection. The system of a
# host acknowledges them for a process that is paused, which keeps the lock: it would write when it wakes.
SECONDS_BETWEEN_MESSAGES = 20.0


class LockService:
    """A lock for each name; clients that wait for one take turns."""

    def __init__(self) -> None:
        self.locks: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def hold(self, name: bytes, context: Any) -> None:
        """Wait for the lock and keep it until the call is cancelled: by its client, or by TCP for it."""
        async with self.locks[name]:
            while True:
                await context.write(b"")
                await asyncio.sleep(SECONDS_BETWEEN_MESSAGES)

    def handler(self) -> Any:
        """The service, as a gRPC server takes it; names and messages are bytes."""
        grpc = require_grpc()
        return grpc.method_handlers_generic_handler(
            SERVICE, {METHOD: grpc.unary_stream_rpc_method_handler(self.hold)}
        )
