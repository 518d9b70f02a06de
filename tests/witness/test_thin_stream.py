"""Options of TCP connections that carry little."""

import socket
import sys

import pytest

from witness.listener import _listening
from witness.thin_stream import THIN_STREAM_OPTIONS, keep_moving

linux = pytest.mark.skipif(sys.platform != "linux", reason="numbers of Linux")


class Strict:
    """Knows some options only."""

    def __init__(self, known: set[int]) -> None:
        self.known = known
        self.options: dict[int, int | bytes] = {}

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        assert level == socket.IPPROTO_TCP
        if name not in self.known:
            raise OSError(92, "Protocol not available")
        self.options[name] = value


def test_what_a_kernel_lacks_is_left_out_and_the_rest_is_set() -> None:
    numbers = {name: number for name, number, _ in THIN_STREAM_OPTIONS}
    for lacking in ([], ["TCP_RTO_MAX_MS"], ["TCP_THIN_DUPACK", "TCP_NODELAY"], list(numbers)):
        known = {number for name, number in numbers.items() if name not in lacking}
        tcp = Strict(known)
        assert sorted(keep_moving(tcp)) == sorted(lacking)
        assert set(tcp.options) == known


@linux
@pytest.mark.net
def test_accepted_connections_have_the_options_of_their_listener() -> None:
    with _listening(socket.AF_INET, ("127.0.0.1", 0)) as listening:
        missing = keep_moving(listening)
        listening.setblocking(True)
        with socket.create_connection(listening.getsockname()) as client:
            accepted, _ = listening.accept()
            with accepted:
                assert client.getpeername() == accepted.getsockname()
                for name, number, value in THIN_STREAM_OPTIONS:
                    # Newer kernels take the option and have nothing to set any more.
                    if name in {*missing, "TCP_THIN_DUPACK"}:
                        continue
                    if isinstance(value, bytes):
                        text = accepted.getsockopt(socket.IPPROTO_TCP, number, 16)
                        assert text.rstrip(b"\0") == value, name
                        continue
                    seen = accepted.getsockopt(socket.IPPROTO_TCP, number)
                    assert seen == value, name
