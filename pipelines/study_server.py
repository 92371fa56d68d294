"""Serve the studies of a storage to searches on many machines, with locks for them, until Ctrl-C.

Whoever reaches the port reads and writes: there are no passwords, and nothing is encrypted.
"""

import argparse
import socket

from grokking.config import ConfigError
from grokking.search.server_address import SCHEME, ServerAddress, read_port, scheme
from grokking.search.storage import Storage
from grokking.search.study_server import serve
from pipelines.common.paths import STUDIES
from pipelines.common.stage import run

EVERYWHERE = ("0.0.0.0", "[::]")  # hosts that mean all addresses of this machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", required=True, help="the database of the studies, as a URL")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on, IPv6 in brackets")
    parser.add_argument("--port", default="13000")
    arguments = parser.parse_args()
    if scheme(arguments.storage) == SCHEME:
        raise ConfigError(f"`--storage` {arguments.storage} is a study server itself; name its database")
    address = ServerAddress(arguments.host, read_port(arguments.port, "`--port`"))
    storage = Storage(STUDIES, arguments.storage)
    serve(storage.open("all"), address, lambda: print(command_of_searcher(address), flush=True))


def command_of_searcher(address: ServerAddress) -> str:
    """What a searcher types."""
    host = socket.gethostname() if address.host in EVERYWHERE else address.host
    url = ServerAddress(host, address.port).url
    return f"python -m pipelines.search quick --storage {url}"


if __name__ == "__main__":
    run(main)
