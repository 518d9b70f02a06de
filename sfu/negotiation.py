"""Decides what becomes of an offer, before anything is done.

A plan that can't be made raises and leaves no trace: neither the participant nor the plane has
been touched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sfu.codecs import Format, select_formats
from sfu.config import SfuConfig
from sfu.dtls import DtlsRole
from sfu.errors import ForbiddenError, NoCommonCodecError, SdpError, TrackLimitError
from sfu.extensions import EXTENSION_URIS, STREAM_ID_URIS, TRANSPORT_CC
from sfu.model import Grant, Kind, Size, Source, TrackDeclaration
from sfu.plane import ProducerSettings
from sfu.sdp import RemoteDescription, RemoteSection
from sfu.transport import Transport

__all__ = ["Plan", "PlannedLine", "TransportStep", "plan_offer"]

DEFAULT_SOURCES: Mapping[Kind, tuple[Source, ...]] = {
    Kind.AUDIO: (Source.MICROPHONE, Source.SCREEN_AUDIO),
    Kind.VIDEO: (Source.CAMERA, Source.SCREEN),
}
"""Sources of sending lines that are not declared, in their order."""

MAX_ONE_BYTE_ID = 14
"""Of RFC 8285; above that, ids need ``a=extmap-allow-mixed``."""


class TransportStep(StrEnum):
    """What an offer means for the association."""

    NONE = "none"
    CREATE = "create"
    KEEP = "keep"
    RESTART = "restart"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """What becomes of one m-section.

    Attributes:
        accepted: answered with a port.
        formats: agreed payload types; empty where not accepted.
        extensions: agreed header extensions, ``(id, URI)``.
        source: of the track published here.
        settings: of its producer, with ``source``.
        sizes: of the producer's encodings, as declared.
        muted: declared state, with ``source``; ``None`` where nothing was declared.
        kind: of a line on which the client can receive, ``None`` of others.
    """

    section: RemoteSection
    accepted: bool
    formats: tuple[Format, ...] = ()
    extensions: tuple[tuple[int, str], ...] = ()
    source: Source | None = None
    settings: ProducerSettings | None = None
    muted: bool | None = None
    kind: Kind | None = None
    sizes: tuple[Size | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about an offer.

    Attributes:
        step: what happens to the association; ``create`` replaces one that exists.
        dtls_role: ours; its answer to ``a=setup`` is ``passive`` or ``active``.
        extensions: table of the transport: name in the plane → id.
    """

    remote: RemoteDescription
    lines: tuple[PlannedLine, ...]
    step: TransportStep
    dtls_role: DtlsRole
    extensions: Mapping[str, int]


def plan_offer(
    remote: RemoteDescription,
    tracks: Sequence[TrackDeclaration],
    grant: Grant,
    config: SfuConfig,
    transport: Transport | None,
    *,
    dtls_server: bool = False,
    restarts_ice: bool = True,
) -> Plan:
    """Makes the plan.

    Args:
        remote: the offer.
        tracks: what its sending lines carry.
        grant: what the participant may publish.
        config: codecs and limits.
        transport: the present association.
        dtls_server: the client would rather be the DTLS server, and takes AES-128-GCM.
        restarts_ice: other credentials with the same certificate restart ICE; if not, they are
            those of another association.

    Raises:
        SdpError: a declaration does not fit the offer, or the association can't go on like this.
        ForbiddenError: a declared source is not granted, or there are too many.
        NoCommonCodecError: a declared line has no codec this server forwards.
    """
    step = _transport_step(remote, transport, restarts_ice=restarts_ice)
    lines = [_receiving_side(section, remote, config) for section in remote.sections]
    sources = _sources(lines, tracks, grant)
    if len(sources) > config.max_tracks_per_participant:
        raise TrackLimitError(
            f"at most {config.max_tracks_per_participant} tracks may be published, "
            f"{len(sources)} are offered"
        )
    declared = {item.mid: item for item in tracks}
    planned = tuple(
        _sending_side(line, sources[mid], declared.get(mid))
        if (mid := line.section.mid) in sources
        else line
        for line in lines
    )
    table: dict[str, int] = {}
    for line in planned:
        for number, uri in line.extensions:
            table.setdefault(EXTENSION_URIS[uri], number)
    return Plan(remote, planned, step, _role(remote, transport, step, dtls_server), table)


def _transport_step(
    remote: RemoteDescription, transport: Transport | None, *, restarts_ice: bool
) -> TransportStep:
    if remote.ice is None:
        return TransportStep.NONE if transport is None else TransportStep.CLOSE
    if transport is None or transport.fingerprints != remote.fingerprints:
        return TransportStep.CREATE
    same_ice = transport.remote == remote.ice
    if not same_ice and not restarts_ice:
        return TransportStep.CREATE
    if transport.final:
        # The client's DTLS association has no counterpart any more; only a new one helps. The
        # same certificate in another session is a new one.
        if not same_ice and transport.remote_session_id != remote.session_id:
            return TransportStep.CREATE
        raise SdpError("the media connection is gone; make a new RTCPeerConnection")
    return TransportStep.KEEP if same_ice else TransportStep.RESTART


def _role(
    remote: RemoteDescription, transport: Transport | None, step: TransportStep, dtls_server: bool
) -> DtlsRole:
    """Our DTLS side where we may choose: the server's, for the server picks the SRTP profile.

    A client that is known to have AES-128-GCM is offered nothing else, so it may be the server.
    Then the one flight it sends is one packet, where its hello would be two.
    """
    if step in (TransportStep.KEEP, TransportStep.RESTART) and transport is not None:
        ours = "active" if remote.setup == "passive" else "passive"
        if remote.setup != "actpass" and ours != transport.dtls_role.setup:
            raise SdpError("a=setup changed; offer actpass")
        return transport.dtls_role
    if remote.setup == "active":
        return DtlsRole.SERVER
    if dtls_server:
        return DtlsRole.AEAD_CLIENT
    return DtlsRole.CLIENT if remote.setup == "passive" else DtlsRole.SERVER


def _receiving_side(
    section: RemoteSection, remote: RemoteDescription, config: SfuConfig
) -> PlannedLine:
    """Accepts or rejects; ``source`` is left open."""
    if not section.active or section.kind is None:
        return PlannedLine(section, accepted=False)
    highest = 255 if remote.allow_mixed else MAX_ONE_BYTE_ID
    extensions = tuple(
        (number, uri)
        for uri, number in section.extensions.items()
        if uri in EXTENSION_URIS
        and number <= highest
        and (section.rids or uri not in STREAM_ID_URIS)
    )
    allowed = config.audio_codecs if section.kind is Kind.AUDIO else config.video_codecs
    formats = select_formats(
        section.rtp_maps,
        section.kind,
        allowed,
        transport_cc=TRANSPORT_CC in (uri for _, uri in extensions),
    )
    if not formats:
        return PlannedLine(section, accepted=False)
    return PlannedLine(
        section,
        accepted=True,
        formats=formats,
        extensions=extensions,
        kind=section.kind if section.receives else None,
    )


def _sources(
    lines: Sequence[PlannedLine], tracks: Sequence[TrackDeclaration], grant: Grant
) -> dict[str, Source]:
    """Source by mid of every line that publishes."""
    by_mid = {line.section.mid: line for line in lines if line.section.mid}
    sources: dict[str, Source] = {}
    for item in tracks:
        line = by_mid.get(item.mid)
        if line is None:
            raise SdpError("tracks names a mid that is not in the offer")
        if item.mid in sources:
            raise SdpError("tracks names a mid twice", section=line.section.number)
        if item.source in sources.values():
            raise SdpError(f"two lines carry {item.source}", section=line.section.number)
        _check_declared(line, item.source, grant)
        sources[item.mid] = item.source
    for line in lines:
        section = line.section
        if not line.accepted or not section.sends or section.mid in sources:
            continue
        for source in DEFAULT_SOURCES[Kind(section.media)]:
            if source not in sources.values() and grant.may_publish(source):
                sources[section.mid] = source
                break
    return sources


def _check_declared(line: PlannedLine, source: Source, grant: Grant) -> None:
    section = line.section
    if section.kind is not source.kind:
        raise SdpError(f"{source} is {source.kind}, the m-line is not", section=section.number)
    if not section.active or not section.sends:
        raise SdpError(
            f"tracks says {source}, but the m-line does not send", section=section.number
        )
    if not grant.may_publish(source):
        raise ForbiddenError(f"the grant does not allow to publish {source}")
    if not line.accepted:
        raise NoCommonCodecError(f"m-section {section.number}: no offered codec is forwarded")


def _sending_side(
    line: PlannedLine, source: Source, declared: TrackDeclaration | None
) -> PlannedLine:
    section = line.section
    known = declared.sizes if declared is not None else {}
    # The plane wants the smallest first. Browsers name streams in that order; where sizes are
    # declared for all, they decide.
    rids = section.rids
    if rids and all(rid in known for rid in rids):
        rids = tuple(sorted(rids, key=lambda rid: known[rid].width * known[rid].height))
    settings = ProducerSettings(
        kind=source.kind,
        mid=section.mid,
        formats=line.formats,
        ssrcs=section.ssrcs,
        rids=rids,
        nack=any(item.nack for item in line.formats),
    )
    return PlannedLine(
        section,
        accepted=True,
        formats=line.formats,
        extensions=line.extensions,
        source=source,
        settings=settings,
        muted=declared.muted if declared is not None else None,
        kind=line.kind,
        sizes=tuple(known.get(rid) for rid in rids) or (None,),
    )
