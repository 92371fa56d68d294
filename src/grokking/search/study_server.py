"""A server through which processes on many hosts share studies: Optuna's gRPC storage proxy, and locks."""

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from optuna.storages import BaseStorage

from grokking.config import ConfigError
from grokking.search.grpc_library import require_grpc
from grokking.search.lock_service import LockService
from grokking.search.server_address import ServerAddress

THREADS = 10  # that read and write the storage, as in Optuna's own server; who waits for a lock takes none
NEVER = 2**31 - 2  # milliseconds; the largest number would switch TCP's own limit off, too
OPTIONS = (
    ("grpc.so_reuseport", 0),  # else a second server could listen on the same port
    # TCP gives up a host whose system has acknowledged nothing for 30 s. gRPC's own pings give up nobody: the
    # process answers them, and one that is paused while it holds a lock must keep it
    ("grpc.keepalive_timeout_ms", 30_000),
    ("grpc.keepalive_time_ms", NEVER),
    ("grpc.http2.ping_timeout_ms", NEVER),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients may ask this often
    ("grpc.max_receive_message_length", -1),  # as in Optuna's client
)
SECONDS_TO_END = 1.0  # in which what is being written is finished


def serve(storage: BaseStorage, address: ServerAddress, started: Callable[[], None]) -> None:
    """Serve a storage until Ctrl-C or SIGTERM; `started` is called once clients can connect."""
    asyncio.run(_serve(storage, address, started))


async def _serve(storage: BaseStorage, address: ServerAddress, started: Callable[[], None]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = _server(storage)
    _listen(server, address)
    await server.start()
    started()
    await ended.wait()
    await server.stop(SECONDS_TO_END)
    await _end_calls()


async def _end_calls() -> None:
    """Let calls that were cancelled come to their end: gRPC prints a traceback of those that have not."""
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    if calls:
        await asyncio.wait(calls, timeout=SECONDS_TO_END)


def _server(storage: BaseStorage) -> Any:
    """An asynchronous server: clients that wait for a lock take no thread of it."""
    require_grpc()
    import grpc.aio

    # private, as Optuna's public function serves nothing but its storage
    from optuna.storages._grpc.auto_generated.api_pb2_grpc import add_StorageServiceServicer_to_server
    from optuna.storages._grpc.servicer import OptunaStorageProxyService

    server = grpc.aio.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
    add_StorageServiceServicer_to_server(OptunaStorageProxyService(storage), server)
    server.add_generic_rpc_handlers((LockService().handler(),))
    return server


def _listen(server: Any, address: ServerAddress) -> None:
    try:
        server.add_insecure_port(address.target)
    except RuntimeError:  # of gRPC, which gives no reason
        raise ConfigError(
            f"`--host` {address.host} with `--port` {address.port} cannot be listened on: the port is taken, "
            "or the host is not an address of this machine; choose another"
        ) from None
