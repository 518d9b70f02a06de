"""A small network for tests: client — router — server, each in a network namespace of its own.

The router translates the client's address without keeping state, so a test can move the client
to another public address between two packets, as a NAT rebinding or a switch from Wi-Fi to
mobile data does::

    client 10.77.1.2 ── 10.77.1.1 router 10.77.2.1 ── 10.77.2.2 server
                        (seen by the server as 10.77.2.11, later 10.77.2.12)

Needs root, iproute2 and nftables. Nothing leaves the namespaces.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import pytest

from loadtest.netem.built import Built
from loadtest.netem.inside import why_no_namespaces

CLIENT_ADDRESS = "10.77.1.2"
SERVER_ADDRESS = "10.77.2.2"
PUBLIC_ADDRESSES = ("10.77.2.11", "10.77.2.12")
BURST_BYTES = 2_000
"""A token bucket has to hold a packet, and the same at every rate: one that was let in as it was
and is larger than the bucket has become would stop the link for good."""


class Towards(StrEnum):
    """A direction of the path, by the router's interface that sends into it."""

    CLIENT = "c-router"
    SERVER = "s-router"


def why_unavailable() -> str | None:
    """Says why namespaces can't be used here, or ``None`` if they can."""
    for tool in ("nft", "tc"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    return why_no_namespaces()


def browser_marks(timeout_s: float = 600) -> list[pytest.MarkDecorator]:
    """Of tests with a browser in a namespace of its own."""
    reason = why_unavailable()
    return [
        pytest.mark.net,
        pytest.mark.browser,
        pytest.mark.timeout(timeout_s),
        pytest.mark.skipif(reason is not None, reason=reason or ""),
    ]


class Path(Built):
    """Client, router and server namespaces; a context manager that removes what it made."""

    def __init__(self) -> None:
        super().__init__()
        tag = f"w{os.getpid()}"
        self.client = f"{tag}-client"
        self.router = f"{tag}-router"
        self.server = f"{tag}-server"

    def command(self, namespace: str, arguments: Sequence[str]) -> list[str]:
        """The command line that runs ``arguments`` inside ``namespace``."""
        return ["ip", "netns", "exec", namespace, *arguments]

    def move_client(self, public_address: str) -> None:
        """From the next packet on, the server sees the client at ``public_address``."""
        self._nft(
            "flush chain ip path outward\n"
            "flush chain ip path inward\n"
            f"add rule ip path outward ip saddr {CLIENT_ADDRESS} ip saddr set {public_address}\n"
            f"add rule ip path inward ip daddr {public_address} ip daddr set {CLIENT_ADDRESS}\n"
        )

    def set_loss(self, percent: int, *, udp_only: bool = True) -> None:
        """Drops ``percent`` of the packets at random, in both directions."""
        match = "meta l4proto udp " if udp_only else ""
        # nft takes no comparison that is always true.
        chance = "" if percent == 100 else f"numgen random mod 100 < {percent} "
        rule = f"add rule ip path lossy {match}{chance}drop\n"
        self._nft("flush chain ip path lossy\n" + (rule if percent else ""))

    def only_tcp(self, ports: Sequence[int] | None = None) -> None:
        """Lets through nothing but TCP, to and from these ports of the server if any are given.

        :meth:`set_loss` lets everything through again.
        """
        server = f"{{ {', '.join(map(str, ports))} }}" if ports else "1-65535"
        self._nft(
            "flush chain ip path lossy\n"
            f"add rule ip path lossy iifname c-router tcp dport {server} accept\n"
            f"add rule ip path lossy oifname c-router tcp sport {server} accept\n"
            "add rule ip path lossy drop\n"
        )

    def set_loss_towards(self, towards: Towards, percent: int) -> None:
        """Drops ``percent`` of the UDP packets of one direction, behind the link's queue."""
        end, address, link = {
            Towards.CLIENT: (self.client, CLIENT_ADDRESS, "c-end"),
            Towards.SERVER: (self.server, SERVER_ADDRESS, "s-end"),
        }[towards]
        rules = "add table ip end\ndelete table ip end\n"
        if percent:
            rules += (
                "add table ip end\n"
                "add chain ip end lossy { type filter hook prerouting priority -300; }\n"
                f"add rule ip end lossy iifname {link} ip daddr {address} meta l4proto udp "
                f"numgen random mod 100 < {percent} drop\n"
            )
        self._nft(rules, end)

    def limit(self, towards: Towards, rate_bps: int | None, queue_ms: int = 300) -> None:
        """Lets one direction carry ``rate_bps``, with a drop-tail queue of ``queue_ms`` before it.

        ``None``: as much as the machine does.
        """
        tc = self.command(self.router, ["tc", "qdisc"])
        if rate_bps is None:
            # There may be none to remove.
            subprocess.run([*tc, "del", "dev", towards, "root"], capture_output=True, check=False)
            return
        bucket = [
            "tbf",
            "rate",
            f"{rate_bps}bit",
            "burst",
            f"{BURST_BYTES}b",
            "latency",
            f"{queue_ms}ms",
        ]
        subprocess.run([*tc, "replace", "dev", towards, "root", *bucket], check=True)

    def queued_bytes(self, towards: Towards) -> int:
        """What waits before a limited link now."""
        shown = subprocess.run(
            self.command(self.router, ["tc", "-s", "-j", "qdisc", "show", "dev", towards]),
            capture_output=True,
            text=True,
            check=True,
        )
        disciplines: list[dict[str, Any]] = json.loads(shown.stdout)
        return sum(int(d["backlog"]) for d in disciplines if d["kind"] == "tbf")

    def heal(self) -> None:
        """As good as new: no loss, no limit, the client at its first address."""
        self.set_loss(0)
        for towards in Towards:
            self.set_loss_towards(towards, 0)
            self.limit(towards, None)
        self.move_client(PUBLIC_ADDRESSES[0])

    def _build(self) -> None:
        self._opened.callback(self._remove)
        for name in (self.client, self.router, self.server):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        self._link(self.client, f"{CLIENT_ADDRESS}/24", self.router, "10.77.1.1/24", "c")
        self._link(self.server, f"{SERVER_ADDRESS}/24", self.router, "10.77.2.1/24", "s")
        _ip("-n", self.client, "route", "add", "default", "via", "10.77.1.1")
        for address in PUBLIC_ADDRESSES:
            # The server is on this segment and asks by ARP who has the public address.
            _ip("-n", self.router, "address", "add", f"{address}/24", "dev", "s-router")
        subprocess.run(
            self.command(self.router, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]), check=True
        )
        self._nft(
            "add table ip path\n"
            "add chain ip path inward { type filter hook prerouting priority -300; }\n"
            "add chain ip path outward { type filter hook postrouting priority 300; }\n"
            "add chain ip path lossy { type filter hook forward priority 0; }\n"
        )
        self.move_client(PUBLIC_ADDRESSES[0])

    def _link(self, end: str, address: str, router: str, gateway: str, tag: str) -> None:
        near, far = f"{tag}-end", f"{tag}-router"
        _ip("-n", end, "link", "add", near, "type", "veth", "peer", "name", far, "netns", router)
        _ip("-n", end, "address", "add", address, "dev", near)
        _ip("-n", router, "address", "add", gateway, "dev", far)
        # A link-local address becomes valid a second or two later; a browser gives up all requests
        # that are under way when its addresses change.
        for namespace, name in ((end, near), (router, far)):
            _ip("-n", namespace, "link", "set", name, "addrgenmode", "none")
        _ip("-n", end, "link", "set", near, "up")
        _ip("-n", router, "link", "set", far, "up")

    def _nft(self, script: str, namespace: str | None = None) -> None:
        command = self.command(namespace or self.router, ["nft", "-f", "-"])
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"nft refused the rules: {done.stderr.strip()}")

    def _remove(self) -> None:
        for name in (self.client, self.router, self.server):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
