"""A host behind a cable that a test can cut: then it says nothing more, not even that it is gone."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE, THERE = "198.51.100.1", "198.51.100.2"  # addresses for documentation, of no network
NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h


@dataclass(frozen=True)
class CabledHost:
    """A network namespace of this name, joined to this one by a pair of virtual devices."""

    name: str
    here: str = HERE

    def enter(self) -> None:
        """Have the calling process live there."""
        with Path(f"/run/netns/{self.name}").open() as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), NEW_NETWORK) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def cut(self) -> None:
        _ip("-n", self.name, "link", "set", "there", "down")


@pytest.fixture
def cabled_host() -> Iterator[CabledHost]:
    name = f"grokking{os.getpid()}"
    device = f"gl{os.getpid()}"
    if (
        shutil.which("ip") is None
        or subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode
    ):
        pytest.skip("needs ip and the right to make network namespaces (CAP_SYS_ADMIN)")
    try:
        _ip("link", "add", device, "type", "veth", "peer", "name", "there", "netns", name)
        _ip("address", "add", f"{HERE}/30", "dev", device)
        _ip("link", "set", device, "up")
        _ip("-n", name, "address", "add", f"{THERE}/30", "dev", "there")
        _ip("-n", name, "link", "set", "there", "up")
        yield CabledHost(name)
    finally:
        _ip("netns", "delete", name)  # and the devices with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
