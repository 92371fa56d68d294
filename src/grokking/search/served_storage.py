"""The studies of a study server, as its clients see them."""

from optuna.storages import GrpcStorageProxy

from grokking.search.grpc_library import require_grpc
from grokking.search.server_address import read_address


def open_served(url: str) -> GrpcStorageProxy:
    """Optuna's client of its proxy; it connects when it is first used, and keeps trials that have ended."""
    require_grpc()
    address = read_address(url)
    return GrpcStorageProxy(host=address.host, port=address.port)


def is_failure(error: Exception) -> bool:
    """Whether the server is gone, or failed to do what it was asked."""
    return isinstance(error, (require_grpc().RpcError, ConnectionError))
