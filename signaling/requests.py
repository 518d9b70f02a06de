"""What a joined participant may ask for, and what is done about it."""

from collections.abc import Callable

from sfu.model import Offer, Role, Size, Track, TrackDeclaration
from signaling.clock import Deadlines, Instant
from signaling.config import MutePolicy, SignalingConfig
from signaling.deadlines import Due, DueKey
from signaling.deflated import deflated
from signaling.errors import ErrorCode, IllegalTransitionError, RefusedError
from signaling.member import Member
from signaling.messages import (
    LayersFirst,
    LayersWant,
    Mute,
    MuteAnswer,
    MuteRequest,
    OfferMessage,
    QualityReport,
    Request,
    Subscribe,
    TextMessage,
    Unsubscribe,
)
from signaling.muting import MuteQuestions
from signaling.notices import (
    AnswerReply,
    Asked,
    MessageNotice,
    MuteAsked,
    MuteResult,
    Ok,
    PublishedLine,
    Sent,
    ServerData,
    SubscribedLine,
    rfc3339,
)
from signaling.roster import Roster
from signaling.stats import Stats

__all__ = ["Requests"]


class Requests:
    """Carries out requests.

    Args:
        make_id: source of fresh identifiers.
    """

    def __init__(
        self,
        config: SignalingConfig,
        roster: Roster,
        questions: MuteQuestions,
        deadlines: Deadlines[DueKey],
        stats: Stats,
        make_id: Callable[[], str],
    ) -> None:
        self._config = config
        self._roster = roster
        self._questions = questions
        self._deadlines = deadlines
        self._stats = stats
        self._make_id = make_id

    def carry_out(self, member: Member, message: Request, now: Instant) -> ServerData:
        """Does what ``member`` asks for and returns the reply.

        Raises:
            RefusedError: not allowed or not possible.
            sfu.SfuError: likewise, by the media scope.
        """
        match message:
            case OfferMessage():
                return self._negotiate(member, message)
            case Subscribe():
                track, _ = self._visible_track(member, message.data.track_id)
                member.participant.subscribe(track.track_id)
                return Ok()
            case Unsubscribe():
                track, _ = self._visible_track(member, message.data.track_id)
                member.participant.unsubscribe(track.track_id)
                return Ok()
            case Mute():
                return self._mute(member, message)
            case MuteRequest():
                return self._request_mute(member, message.data.track_id, now)
            case MuteAnswer():
                return self._answer_mute(member, message)
            case TextMessage():
                return self._relay(member, message, now)
            case LayersWant():
                shown = message.data.tracks
                member.participant.show(
                    {item.track_id: Size(item.width, item.height) for item in shown}
                )
                return Ok()
            case LayersFirst():
                if member.grant.role is not Role.RM:
                    raise RefusedError(
                        ErrorCode.FORBIDDEN, "only an rm decides what comes first in the room"
                    )
                member.participant.room.put_screen_first(message.data.first == "screen")
                return Ok()
            case QualityReport():
                return self._keep_report(member, message)
            case _:
                raise IllegalTransitionError(f"{message.type} is not carried out here")

    def _negotiate(self, member: Member, message: OfferMessage) -> AnswerReply:
        declared = [
            TrackDeclaration(
                mid=item.mid,
                source=item.source,
                muted=item.muted,
                sizes={size.rid: Size(size.width, size.height) for size in item.encodings},
            )
            for item in message.data.tracks
        ]
        try:
            sdp = message.data.text()
        except ValueError as error:
            raise RefusedError(ErrorCode.BAD_SDP, f"sdp_deflate: {error}") from error
        answer = member.participant.negotiate(
            Offer(sdp=sdp, tracks=declared, dtls_server=message.data.dtls_server)
        )
        tracks = member.participant.room.tracks
        is_deflated = message.data.sdp_deflate is not None
        return AnswerReply(
            sdp=None if is_deflated else answer.sdp,
            sdp_deflate=deflated(answer.sdp) if is_deflated else None,
            published=tuple(
                PublishedLine(mid=mid, track_id=track_id)
                for mid, track_id in answer.published.items()
            ),
            subscribed=tuple(
                SubscribedLine(
                    mid=mid, track_id=track_id, participant_id=tracks[track_id].participant_id
                )
                for mid, track_id in answer.subscribed.items()
                if track_id in tracks
            ),
        )

    def _mute(self, member: Member, message: Mute) -> Ok:
        track, owner = self._visible_track(member, message.data.track_id)
        if owner is not member:
            raise RefusedError(ErrorCode.FORBIDDEN, "the track is somebody else's")
        member.participant.set_muted(track.track_id, message.data.muted, by=member.participant_id)
        return Ok()

    def _request_mute(self, member: Member, track_id: str, now: Instant) -> Asked:
        if member.grant.role is not Role.RM:
            raise RefusedError(ErrorCode.FORBIDDEN, "only an rm may ask to mute others")
        track, owner = self._visible_track(member, track_id)
        if owner is member:
            raise RefusedError(ErrorCode.FORBIDDEN, "one's own track is muted with mute")
        if track.muted:
            return Asked(state="muted", request_id=None)
        match self._config.mute.policy_for(owner.grant.role):
            case MutePolicy.DENY:
                raise RefusedError(ErrorCode.FORBIDDEN, "this role can't be muted by others")
            case MutePolicy.FORCE:
                owner.participant.set_muted(track_id, True, by=member.participant_id)
                return Asked(state="muted", request_id=None)
            case MutePolicy.ASK if not owner.can_answer:
                raise RefusedError(
                    ErrorCode.FORBIDDEN, "the owner has to agree, and has no way to answer"
                )
            case MutePolicy.ASK:
                return self._ask(member, track_id, owner, now)

    def _ask(self, member: Member, track_id: str, owner: Member, now: Instant) -> Asked:
        question = self._questions.find(member, track_id, owner)
        if question is None:
            question = self._questions.ask(member, track_id, owner)
            seconds = self._config.mute_request_s
            self._deadlines.set((Due.QUESTION, question.request_id), now.steady_s + seconds)
            owner.notify(
                MuteAsked(
                    request_id=question.request_id,
                    track_id=track_id,
                    by=member.participant_id,
                    expires_in_s=seconds,
                )
            )
        return Asked(state="asked", request_id=question.request_id)

    def _answer_mute(self, member: Member, message: MuteAnswer) -> Ok:
        question = self._questions.answered_by(message.data.request_id, member)
        self._deadlines.cancel((Due.QUESTION, question.request_id))
        if message.data.accept:
            member.participant.set_muted(question.track_id, True, by=question.by.participant_id)
        question.by.notify(
            MuteResult(
                request_id=question.request_id,
                track_id=question.track_id,
                accepted=message.data.accept,
                reason="answered",
            )
        )
        return Ok()

    def _relay(self, member: Member, message: TextMessage, now: Instant) -> Sent:
        text, to = message.data.text, message.data.to
        if member.grant.hidden:
            raise RefusedError(ErrorCode.FORBIDDEN, "a hidden participant can't post")
        limit = self._config.limits.text_chars
        if len(text) > limit:
            raise RefusedError(
                ErrorCode.BAD_MESSAGE, f"longer than {limit} characters", field="data.text"
            )
        sent = Sent(message_id=f"m-{self._make_id()}", at=rfc3339(now.unix_s))
        notice = MessageNotice(
            message_id=sent.message_id,
            from_=member.participant_id,
            to=to,
            text=text,
            at=sent.at,
        )
        data_json = notice.data_json()
        for recipient in self._recipients(member, to):
            recipient.notify(notice, data_json=data_json)
        return sent

    def _recipients(self, member: Member, to: str | None) -> list[Member]:
        if to is None:
            return self._roster.others(member)
        recipient = self._roster.get(member.room_id, to)
        if recipient is member:
            raise RefusedError(ErrorCode.BAD_MESSAGE, "addressed to its sender", field="data.to")
        if recipient is None or recipient.grant.hidden:
            raise RefusedError(ErrorCode.UNKNOWN_PARTICIPANT, "no such participant in this room")
        return [recipient]

    def _keep_report(self, member: Member, message: QualityReport) -> Ok:
        present = member.participant.room.tracks
        known = tuple(item for item in message.data.tracks if item.track_id in present)
        self._stats.report_tracks_ignored += len(message.data.tracks) - len(known)
        member.report = message.data.model_copy(update={"tracks": known})
        return Ok()

    def _visible_track(self, member: Member, track_id: str) -> tuple[Track, Member]:
        track = member.participant.room.tracks.get(track_id)
        owner = self._roster.get(member.room_id, track.participant_id) if track else None
        if track is None or owner is None or not member.sees_tracks_of(owner):
            raise RefusedError(ErrorCode.UNKNOWN_TRACK, "no such track in this room")
        return track, owner
