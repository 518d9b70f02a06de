"""Checks that the customer answered a question clearly with yes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import Field

from analytics.detector import (
    Card,
    DetectorConfig,
    Finding,
    FindingKind,
    Heard,
    Input,
    Mark,
    Needs,
    Outcome,
    Output,
    Permission,
    Scope,
    Severity,
    Subject,
    Text,
    Utterance,
)
from analytics.models import Models
from analytics.speech.answers import Replies, Reply, is_question
from analytics.speech.nodes import Answer, Listened, Node, Roles, end_of
from analytics.speech.pack import Pack, load_pack
from analytics.speech.weighing import Margins, weighed

__all__ = ["ClearAnswer", "ClearAnswerConfig", "ClearAnswerWatch"]

_AFFIRMED: Final = "answer_affirmed"
_REFUSED: Final = "answer_refused"
_UNCLEAR: Final = "answer_unclear"
_MISSING: Final = "answer_missing"
_UNKNOWN: Final = "answer_unknown"
_EARLY_US: Final = 300_000
_MAX_SAID: Final = 256
_MAX_NODES: Final = 8
_MAX_WORDS: Final = 64


class ClearAnswerConfig(DetectorConfig):
    """Settings of ``clear_answer``."""

    pack_path: Path | None = Field(
        default=None, description="Lists of words, in place of those that come along."
    )
    askers: frozenset[str] = Field(
        default=frozenset({"rm", "expert"}), description="Roles that put the question."
    )
    min_confidence: float = Field(
        default=0.35, ge=0, le=1, description="An answer recognised with less is unknown."
    )
    sure_nats: float = Field(
        default=2.0,
        ge=0,
        description="An answer that was misheard is a yes if yes fits the sound so much better than"
        " every no.",
    )
    doubt_nats: float = Field(
        default=2.0,
        ge=0,
        description="A yes that doesn't fit the sound so much better than every no is unknown.",
    )
    behind_nats: float = Field(
        default=3.0,
        ge=0,
        description="What was recognised may fit the sound so much better than the likely answer.",
    )
    least_nats: float = Field(
        default=-6.0,
        le=0,
        description="An answer that was misheard is a yes only if yes fits the sound at least so"
        " well.",
    )
    least_of_one_nats: float = Field(
        default=-4.0, le=0, description="The same of a yes of one syllable."
    )
    settle_s: float = Field(
        default=1.5, ge=0, description="After a yes it is waited so long for a second thought."
    )
    patience_s: float = Field(
        default=20.0, gt=0, description="So long after a window the recogniser is waited for."
    )


class ClearAnswer:
    """Says of every question of a node that waits for an answer what the answer was."""

    name: ClassVar[str] = "clear_answer"
    version: ClassVar[str] = "5"
    Config: ClassVar[type[DetectorConfig]] = ClearAnswerConfig
    card: ClassVar[Card] = Card(
        title=Text("明确答复", "Clear answer"),
        summary=Text(
            "环节要求客户答复时，核对客户是否在规定时间内明确回答“是”；"
            "否定、犹豫、附条件、反问、重复问题或沉默都不算。",
            "Where a node waits for an answer, checks that the customer clearly said yes within the"
            " window; a denial, hesitation, condition, counter-question, echo or silence is none.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.SPEECH}),
        kinds=(
            FindingKind(
                _AFFIRMED,
                Text("明确同意", "Clear yes"),
                Text("环节 {node}：客户作了明确的肯定答复。", "Node {node}: a clear yes."),
                Severity.INFO,
            ),
            FindingKind(
                _REFUSED,
                Text("否定答复", "Refused"),
                Text("环节 {node}：客户作了否定答复。", "Node {node}: the customer said no."),
                Severity.CRITICAL,
            ),
            FindingKind(
                _UNCLEAR,
                Text("答复不明确", "Unclear answer"),
                Text(
                    "环节 {node}：答复不明确（{how}），请再问一次。",
                    "Node {node}: no clear answer ({how}); ask again.",
                ),
            ),
            FindingKind(
                _MISSING,
                Text("没有答复", "No answer"),
                Text(
                    "环节 {node}：规定时间内没有答复（{how}），请再问一次。",
                    "Node {node}: no answer within the window ({how}); ask again.",
                ),
            ),
            FindingKind(
                _UNKNOWN,
                Text("答复无法核对", "Answer not checked"),
                Text(
                    "环节 {node}：无法判断答复（{how}），请再问一次；否则须人工复核。",
                    "Node {node}: the answer is not known ({how}); ask again, or somebody has to"
                    " listen to it.",
                ),
            ),
        ),
        limits=Text(
            "只听到声音；点头不算。一两个字的答复最容易听错：等待答复时会把可能的答复"
            "逐一与声音比对，“是”须比每一种否定都更合声音才算，宁可判为无法核对，也不放过否定；"
            "每三四个肯定答复约有一个须再问一次。附条件、只就部分或由他人同意的不算；“是”前后还说了名单以外的话（好的，我问一下老伴）时须再问。"
            "不判断客户是否真正理解。",
            "Hears, and sees no nod. Answers of a word or two are misheard most: while one is"
            " waited for, likely answers are compared with the sound, and a yes has to fit it"
            " better than every denial; rather unknown than a denial taken for a yes, so about one"
            " clear yes in three or four has to be asked for again. What is agreed to on a"
            " condition, in part or by somebody else is none, nor is a yes beside which more is"
            " said than the lists know (好的，我问一下老伴). It doesn't know whether anybody"
            " understood.",
        ),
        unknown_when=Text(
            "窗口内声音缺失或未能识别、识别把握不足、或“是”与否定同样合乎声音。",
            "Sound in the window is missing or was not recognised, the recogniser was unsure, or a"
            " denial fits the sound as well as a yes.",
        ),
    )

    def __init__(self, config: ClearAnswerConfig, pack: Pack) -> None:
        self.config = config
        self.pack = pack

    @classmethod
    def load(cls, config: ClearAnswerConfig, models: Models) -> Self:  # noqa: ARG003
        """Loads the pack, as :class:`analytics.detector.Detector` has it."""
        return cls(config, load_pack(config.pack_path))

    @property
    def needs(self) -> Needs:
        """Words and nodes."""
        return Needs(words=True, marks=True)

    def watch(self, subject: Subject) -> "ClearAnswerWatch":
        """Starts to check a session."""
        return ClearAnswerWatch(self, subject)


@dataclass(slots=True)
class _Asked:
    """A node that waits for an answer.

    Attributes:
        told: how many of its questions have a verdict.
        open: the last verdict, where the node may still bring a better one.
    """

    node: Node
    answer: Answer
    replies: Replies
    questions: list[Utterance] = field(default_factory=list)
    answers: list[Utterance] = field(default_factory=list)
    told: int = 0
    open: Finding | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    """One putting of the question, in one or several utterances."""

    start_us: int
    end_us: int
    text: str
    until_us: int
    is_cut: bool
    """The next question came before the window was over."""


class ClearAnswerWatch:
    """Questions and answers of one session."""

    def __init__(self, detector: ClearAnswer, subject: Subject) -> None:
        self._detector = detector
        self._roles = Roles(subject)
        self._listened = Listened()
        self._asked: list[_Asked] = []
        self._now_us = 0

    def process(self, item: Input) -> Sequence[Output]:
        """Takes words and marks."""
        self._now_us = max(self._now_us, end_of(item))
        found: list[Finding] = []
        match item:
            case Mark():
                found += self._mark(item)
            case Heard():
                self._listened.take(item)
            case Utterance(is_final=True):
                self._said(item)
        for asked in list(self._asked):
            found += self._judge(asked, self._reached_us(asked))
        return found

    def flush(self, at_us: int) -> Sequence[Output]:
        """What is not decided now never will be."""
        found = []
        for asked in self._asked:
            asked.node.end_us = min(at_us, asked.node.end_us or at_us)
            found += self._judge(asked, None)
        self._asked.clear()
        return found

    def _mark(self, mark: Mark) -> list[Finding]:
        self._roles.take(mark)
        if mark.kind in {"node.started", "node.ended"}:
            for asked in self._asked:
                if asked.node.end_us is None:
                    asked.node.end_us = mark.at_us
        if mark.kind != "node.started":
            return []
        node = Node.begun(mark)
        if node.answer is not None:
            replies = Replies(self._detector.pack, node.answer.lexicon)
            self._asked.append(_Asked(node, node.answer, replies))
        given_up = self._asked[:-_MAX_NODES]
        del self._asked[:-_MAX_NODES]
        return [one for asked in given_up for one in self._judge(asked, None)]

    def _said(self, said: Utterance) -> None:
        role = self._roles.of(said.participant_id)
        for asked in self._asked:
            node = asked.node
            after_us = node.end_us if node.end_us is not None else said.start_us + 1
            if said.end_us <= node.start_us or said.start_us >= after_us:
                continue
            row = (
                asked.answers
                if role == asked.answer.speaker
                else asked.questions
                if role in self._detector.config.askers
                else None
            )
            if row is not None and len(row) < _MAX_SAID:
                row.append(said)
                row.sort(key=lambda one: one.start_us)

    def _reached_us(self, asked: _Asked) -> int | None:
        """Until when all is known that matters; ``None``: it has been waited long enough."""
        roles = {asked.answer.speaker, *self._detector.config.askers}
        people = [p for p in self._listened.participants() if self._roles.of(p) in roles]
        reached = min((self._listened.reached_us(one) or 0 for one in people), default=0)
        if {self._roles.of(one) for one in people}.isdisjoint({asked.answer.speaker}):
            reached = 0
        late_us = self._now_us - int(self._detector.config.patience_s * 1e6)
        return max(reached, late_us)

    def _judge(self, asked: _Asked, reached_us: int | None) -> list[Finding]:
        """Verdicts on what is certain by now; all, where ``reached_us`` is ``None``."""
        found: list[Finding] = []
        questions = self._questions(asked)
        for number, question in enumerate(questions[asked.told :], asked.told + 1):
            finding = self._verdict(asked, question, number, reached_us)
            if finding is None:
                break
            asked.told = number
            # A better answer came: what was open before is over.
            asked.open = None
            is_bad = finding.outcome in {Outcome.WARN, Outcome.UNKNOWN}
            if is_bad and number <= asked.answer.retries and not self._is_over(asked, reached_us):
                finding = replace(finding, is_open=True)
                asked.open = finding
            elif finding.outcome is Outcome.WARN:
                finding = replace(finding, outcome=Outcome.FAIL)
            found.append(finding)
        if self._is_over(asked, reached_us):
            if asked.open is not None:
                is_unknown = asked.open.outcome is Outcome.UNKNOWN
                outcome = Outcome.UNKNOWN if is_unknown else Outcome.FAIL
                found.append(replace(asked.open, outcome=outcome, is_open=False))
            if not questions:
                found.append(self._not_asked(asked))
            if asked in self._asked and reached_us is not None:
                self._asked.remove(asked)
        return found

    def _is_over(self, asked: _Asked, reached_us: int | None) -> bool:
        end_us = asked.node.end_us
        return end_us is not None and (reached_us is None or reached_us >= end_us)

    def _questions(self, asked: _Asked) -> list[_Question]:
        """What was asked, utterances that follow each other without an answer taken together."""
        groups: list[list[Utterance]] = []
        for said in asked.questions:
            last = groups[-1][-1] if groups else None
            is_answered = last is not None and any(
                last.end_us - _EARLY_US < one.end_us and one.start_us < said.start_us
                for one in asked.answers
            )
            is_late = last is not None and (
                said.start_us > last.end_us + asked.answer.window_s * 1e6
            )
            if not groups or is_answered or is_late:
                groups.append([said])
            else:
                groups[-1].append(said)
        asking = [group for group in groups if any(map(self._is_asking, group))]
        found = []
        for group in asking or groups[:1]:
            end_us = _last_question(group, self._is_asking).end_us
            until_us = end_us + int(asked.answer.window_s * 1e6)
            later = [g[0].start_us for g in asking if g[0].start_us > end_us]
            node_end_us = asked.node.end_us
            cuts = [one for one in (*later, node_end_us) if one is not None and one < until_us]
            text = "".join(one.text for one in group)
            found.append(
                _Question(group[0].start_us, end_us, text, min([until_us, *cuts]), bool(cuts))
            )
        return found

    def _is_asking(self, said: Utterance) -> bool:
        asking = self._detector.pack.answers.asking
        return is_question(said.text) or any(word in said.text for word in asking if len(word) > 1)

    def _verdict(
        self, asked: _Asked, question: _Question, number: int, reached_us: int | None
    ) -> Finding | None:
        """What came of a question; ``None`` while more may come."""
        is_closed = reached_us is None or reached_us >= question.until_us
        said = [
            one
            for one in asked.answers
            if one.end_us > question.end_us - _EARLY_US
            and one.start_us >= (question.start_us + question.end_us) // 2
            and one.start_us < question.until_us
        ]
        replies = [(one, self._reply(asked, one, question)) for one in said]
        yes = [one for one, reply in replies if reply is Reply.YES]
        settle_us = int(self._detector.config.settle_s * 1e6)
        is_settled = bool(yes) and (reached_us is None or reached_us >= yes[-1].end_us + settle_us)
        if not is_closed and not is_settled:
            return None
        kind, outcome, how = self._conclusion(asked, question, replies)
        last = said[-1] if said else None
        end_us = last.end_us if last else question.until_us
        return Finding(
            kind,
            question.start_us,
            max(question.end_us, end_us),
            outcome,
            score=last.confidence if last else None,
            participant_id=last.participant_id if last else "",
            track_id=last.track_id if last else "",
            values={"node": asked.node.code, "try": number, "how": how},
            words=tuple(word for one in said for word in one.words)[:_MAX_WORDS],
        )

    def _reply(self, asked: _Asked, said: Utterance, question: _Question) -> Reply:
        reply = asked.replies.judge(said.text, question.text)
        config = self._detector.config
        is_unsure = said.confidence is not None and said.confidence < config.min_confidence
        # A refusal is one even where it was hardly heard: nobody's consent is lost by asking again.
        reply = Reply.NEAR if is_unsure and reply is not Reply.NO else reply
        margins = Margins(
            config.sure_nats,
            config.doubt_nats,
            config.behind_nats,
            config.least_nats,
            config.least_of_one_nats,
        )
        return weighed(asked.replies, reply, said.likely, margins)

    def _conclusion(
        self,
        asked: _Asked,
        question: _Question,
        replies: Sequence[tuple[Utterance, Reply]],
    ) -> tuple[str, Outcome, str]:
        kinds = [reply for _, reply in replies]
        if Reply.NO in kinds:
            if Reply.YES in kinds[kinds.index(Reply.NO) :]:
                return _UNCLEAR, Outcome.WARN, "no_and_yes"
            return _REFUSED, Outcome.FAIL, Reply.NO.value
        if Reply.YES in kinds:
            return _AFFIRMED, Outcome.PASS, Reply.YES.value
        if Reply.NEAR in kinds:
            return _UNKNOWN, Outcome.UNKNOWN, "unsure"
        speakers = [
            one
            for one in self._listened.participants()
            if self._roles.of(one) == asked.answer.speaker
        ]
        if not self._listened.is_any_known(speakers, question.end_us, question.until_us):
            return _UNKNOWN, Outcome.UNKNOWN, "not_heard"
        if kinds:
            return _UNCLEAR, Outcome.WARN, kinds[-1].value
        return _MISSING, Outcome.WARN, "silence"

    def _not_asked(self, asked: _Asked) -> Finding:
        node = asked.node
        end_us = node.end_us if node.end_us is not None else self._now_us
        askers = [
            one
            for one in self._listened.participants()
            if self._roles.of(one) in self._detector.config.askers
        ]
        is_known = self._listened.is_any_known(askers, node.start_us, end_us)
        return Finding(
            _MISSING if is_known else _UNKNOWN,
            node.start_us,
            end_us,
            Outcome.FAIL if is_known else Outcome.UNKNOWN,
            values={
                "node": node.code,
                "try": 0,
                "how": "not_asked" if is_known else "not_heard",
            },
        )


def _last_question(group: Sequence[Utterance], is_asking: Callable[[Utterance], bool]) -> Utterance:
    """The last that asks; what is said after it (``请您回答``) doesn't move the window's start."""
    asking = [one for one in group if is_asking(one)]
    return asking[-1] if asking else group[-1]
