"""Who is the DTLS server of a connection, and what is done where the client can't be."""

from enum import StrEnum

__all__ = ["MISSED_HANDSHAKES", "DtlsMemory", "DtlsRole"]

MISSED_HANDSHAKES = 3
"""So many handshakes in a row that came to nothing, and the client is no longer the server."""

_REFUSED = frozenset({"no_srtp_profile", "dtls_failed"})


class DtlsRole(StrEnum):
    """Our side of the handshake, as ``create_transport`` names it."""

    SERVER = "server"
    CLIENT = "client"
    AEAD_CLIENT = "aead_client"
    """A client that offers AES-128-GCM alone."""

    @property
    def setup(self) -> str:
        """Of the answer (RFC 4145)."""
        return "passive" if self is DtlsRole.SERVER else "active"


class DtlsMemory:
    """How a participant's handshakes with :attr:`DtlsRole.AEAD_CLIENT` went."""

    def __init__(self) -> None:
        self._missed = 0

    @property
    def works(self) -> bool:
        """Whether that role is worth another try."""
        return self._missed < MISSED_HANDSHAKES

    def connected(self, role: DtlsRole) -> None:
        """A handshake succeeded."""
        if role is DtlsRole.AEAD_CLIENT:
            self._missed = 0

    def given_up(self, role: DtlsRole, reason: str = "") -> None:
        """A path was there, but the connection ended without a handshake.

        Args:
            role: ours.
            reason: the plane's; empty where the client made another connection.
        """
        if role is DtlsRole.AEAD_CLIENT:
            self._missed = MISSED_HANDSHAKES if reason in _REFUSED else self._missed + 1
