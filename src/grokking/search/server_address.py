"""Where a study server listens: a host and a port."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from grokking.config import ConfigError

SCHEME, EXAMPLE = "grpc", "grpc://127.0.0.1:13000"
HIGHEST_PORT = 65535


@dataclass(frozen=True)
class ServerAddress:
    host: str  # an IPv6 address in its brackets
    port: int

    @property
    def target(self) -> str:
        """As gRPC takes it."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As `--storage` takes it."""
        return f"{SCHEME}://{self.target}"


def scheme(url: str) -> str:
    """The kind of server: postgresql of postgresql+psycopg2://host/database."""
    return url.partition(":")[0].partition("+")[0]


def read_address(url: str) -> ServerAddress:
    """The address of a grpc:// URL; ConfigError where it is anything but a host and a port."""
    host, _, port = urlsplit(url).netloc.rpartition(":")
    if not host or "@" in host or url != f"{SCHEME}://{host}:{port}":
        raise ConfigError(f"it must be {SCHEME}://, a host and a port, without a login; such as {EXAMPLE}")
    return ServerAddress(host, read_port(port, "its port"))


def read_port(text: str, name: str) -> int:
    """A port's number. Raises ConfigError where it is none, with the name of what was to hold it."""
    if not text.isdecimal() or not 1 <= int(text) <= HIGHEST_PORT:
        raise ConfigError(f"{name} must be a whole number from 1 to {HIGHEST_PORT}, but got {text!r}")
    return int(text)
