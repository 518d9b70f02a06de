"""Checks that what a node requires to be said was said."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    Word,
)
from analytics.models import Models
from analytics.speech.nodes import Listened, Node, Roles, end_of
from analytics.speech.pack import Pack, load_pack
from analytics.speech.statements import Judged, Likeness, Statement, judge
from analytics.speech.tokens import Token, tokens_of

__all__ = ["RequiredStatements", "RequiredStatementsConfig", "RequiredStatementsWatch"]

_SAID: Final = "statement_said"
_MISSING: Final = "statement_missing"
_UNKNOWN: Final = "statement_unknown"
_MAX_WORDS: Final = 64
_MAX_OPEN: Final = 8
_SHORT_US: Final = 1_200_000
"""No statement is shorter."""


class RequiredStatementsConfig(DetectorConfig):
    """Settings of ``required_statements``."""

    pack_path: Path | None = Field(
        default=None, description="Lists of words, in place of those that come along."
    )
    speakers: frozenset[str] = Field(
        default=frozenset({"rm", "expert"}), description="Roles that have to say the statements."
    )
    min_confidence: float = Field(
        default=0.3, ge=0, le=1, description="What is recognised with less decides nothing."
    )
    patience_s: float = Field(
        default=20.0, gt=0, description="So long after a node the recogniser is waited for."
    )


class RequiredStatements:
    """Says of every required statement whether it was said, once that is certain."""

    name: ClassVar[str] = "required_statements"
    version: ClassVar[str] = "2"
    Config: ClassVar[type[DetectorConfig]] = RequiredStatementsConfig
    card: ClassVar[Card] = Card(
        title=Text("必须说明的内容", "Required statements"),
        summary=Text(
            "核对流程各环节规定的话是否说过：原话，或用拼音和用词比较的同义说法；否定和数字须一致。",
            "Checks that what a node of the flow requires was said: word for word, or in other"
            " words by syllables and word overlap; negation and numbers have to agree.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.SPEECH}),
        kinds=(
            FindingKind(
                _SAID,
                Text("规定的话已说明", "Required statement said"),
                Text(
                    "环节 {node} 的第 {statement} 句已说明（{how}）。",
                    "Statement {statement} of node {node} was said ({how}).",
                ),
                Severity.INFO,
            ),
            FindingKind(
                _MISSING,
                Text("规定的话未说明", "Required statement missing"),
                Text(
                    "环节 {node} 已结束，第 {statement} 句未说明（{how}）。",
                    "Node {node} ended without statement {statement} ({how}).",
                ),
                Severity.CRITICAL,
            ),
            FindingKind(
                _UNKNOWN,
                Text("规定的话无法核对", "Required statement not checked"),
                Text(
                    "无法判断环节 {node} 的第 {statement} 句是否说明（{how}），请人工复核。",
                    "Whether statement {statement} of node {node} was said is not known ({how});"
                    " somebody has to listen.",
                ),
            ),
        ),
        limits=Text(
            "只比较用词，不理解含义；转述过多的说法可能判为未说明，转写错误可能漏判或误判。",
            "Compares words and understands nothing: a free rendering may count as missing, and"
            " errors of the recogniser may go either way.",
        ),
        unknown_when=Text(
            "环节中有声音缺失或未能识别、无人被转写、或相似度介于两者之间。",
            "Sound of the node is missing or was not recognised, nobody was listened to, or the"
            " likeness lies in between.",
        ),
    )

    def __init__(self, config: RequiredStatementsConfig, pack: Pack) -> None:
        self.config = config
        self.pack = pack

    @classmethod
    def load(cls, config: RequiredStatementsConfig, models: Models) -> Self:  # noqa: ARG003
        """Loads the pack, as :class:`analytics.detector.Detector` has it."""
        return cls(config, load_pack(config.pack_path))

    @property
    def needs(self) -> Needs:
        """Words and nodes."""
        return Needs(words=True, marks=True)

    def watch(self, subject: Subject) -> "RequiredStatementsWatch":
        """Starts to check a session."""
        return RequiredStatementsWatch(self, subject)


@dataclass(slots=True)
class _Open:
    """A statement that has not been said yet."""

    number: int
    variants: tuple[Statement, ...]
    best: Judged
    best_at: tuple[int, int] | None = None


@dataclass(slots=True)
class _Checked:
    """A node, what is left of it, and what was said in it by each speaker."""

    node: Node
    open: list[_Open]
    said: dict[str, list[Utterance]]


class RequiredStatementsWatch:
    """Nodes of one session."""

    def __init__(self, detector: RequiredStatements, subject: Subject) -> None:
        self._detector = detector
        self._roles = Roles(subject)
        self._listened = Listened()
        self._nodes: list[_Checked] = []
        self._now_us = 0

    def process(self, item: Input) -> Sequence[Output]:
        """Takes words and marks."""
        found: list[Finding] = []
        self._now_us = max(self._now_us, end_of(item))
        match item:
            case Mark():
                found += self._mark(item)
            case Heard():
                self._listened.take(item)
            case Utterance(is_final=True):
                found += self._said(item)
        return found + self._decided()

    def flush(self, at_us: int) -> Sequence[Output]:
        """What is not decided now never will be."""
        for checked in self._nodes:
            checked.node.end_us = min(at_us, checked.node.end_us or at_us)
        found = [one for checked in self._nodes for one in self._verdicts(checked)]
        self._nodes.clear()
        return found

    def _mark(self, mark: Mark) -> list[Finding]:
        self._roles.take(mark)
        if mark.kind in {"node.started", "node.ended"}:
            for checked in self._nodes:
                if checked.node.end_us is None:
                    checked.node.end_us = mark.at_us
        if mark.kind != "node.started":
            return []
        node, pack = Node.begun(mark), self._detector.pack
        nothing = Judged(Likeness.ABSENT, 0.0)
        statements = [
            _Open(number, tuple(Statement.of(text, pack) for text in texts), nothing)
            for number, texts in enumerate(node.texts, 1)
        ]
        if statements:
            self._nodes.append(_Checked(node, statements, {}))
        given_up = self._nodes[:-_MAX_OPEN]
        del self._nodes[:-_MAX_OPEN]
        return [one for checked in given_up for one in self._verdicts(checked)]

    def _said(self, said: Utterance) -> list[Finding]:
        config = self._detector.config
        if self._roles.of(said.participant_id) not in config.speakers:
            return []
        found: list[Finding] = []
        for checked in self._nodes:
            node = checked.node
            if said.end_us <= node.start_us or said.start_us >= (node.end_us or said.end_us):
                continue
            row = checked.said.setdefault(said.participant_id, [])
            row.append(said)
            del row[:-_MAX_OPEN]
            is_sure = said.confidence is None or said.confidence >= config.min_confidence
            found += self._compare(checked, row, is_sure=is_sure)
        return found

    def _compare(self, checked: _Checked, row: list[Utterance], *, is_sure: bool) -> list[Finding]:
        """Compares what was said last, with what came before it, with what is still to be said."""
        pack = self._detector.pack
        reach = max((v.reach for one in checked.open for v in one.variants), default=0)
        tokens, used = _joined(row, reach, pack)
        found = []
        for one in list(checked.open):
            judged = max(
                (judge(variant, tokens, pack) for variant in one.variants),
                key=lambda judged: judged.score,
            )
            is_said = judged.likeness in {Likeness.EXACT, Likeness.PARAPHRASE}
            if is_said and is_sure:
                checked.open.remove(one)
                found.append(self._finding(_SAID, Outcome.PASS, checked.node, one, judged, used))
            elif judged.score > one.best.score:
                likeness = Likeness.UNSURE if is_said else judged.likeness
                one.best = Judged(likeness, judged.score)
                one.best_at = used[0].start_us, used[-1].end_us
        return found

    def _decided(self) -> list[Finding]:
        found = []
        for checked in list(self._nodes):
            end_us = checked.node.end_us
            if end_us is None:
                continue
            reached = [self._listened.reached_us(one) for one in self._speakers()]
            is_listened = bool(reached) and all(
                one is not None and one >= end_us for one in reached
            )
            if is_listened or self._now_us >= end_us + self._detector.config.patience_s * 1e6:
                self._nodes.remove(checked)
                found += self._verdicts(checked)
        return found

    def _speakers(self) -> list[str]:
        roles = self._detector.config.speakers
        return [one for one in self._listened.participants() if self._roles.of(one) in roles]

    def _verdicts(self, checked: _Checked) -> list[Finding]:
        node = checked.node
        end_us = node.end_us if node.end_us is not None else self._now_us
        is_known = self._listened.is_any_known(self._speakers(), node.start_us, end_us, _SHORT_US)
        found = []
        for one in checked.open:
            likeness = one.best.likeness
            if not is_known:
                kind, outcome, how = _UNKNOWN, Outcome.UNKNOWN, "not_heard"
            elif likeness is Likeness.UNSURE:
                kind, outcome, how = _UNKNOWN, Outcome.UNKNOWN, "unsure"
            else:
                kind, outcome, how = _MISSING, Outcome.FAIL, likeness.value
            start_us, last_us = one.best_at or (node.start_us, end_us)
            at = (start_us, last_us) if likeness is Likeness.CONTRARY else (node.start_us, end_us)
            found.append(
                Finding(
                    kind,
                    *at,
                    outcome,
                    score=one.best.score,
                    values={"node": node.code, "statement": one.number, "how": how},
                )
            )
        return found

    def _finding(
        self,
        kind: str,
        outcome: Outcome,
        node: Node,
        one: _Open,
        judged: Judged,
        used: Sequence[Utterance],
    ) -> Finding:
        words: tuple[Word, ...] = tuple(word for said in used for word in said.words)
        return Finding(
            kind,
            used[0].start_us,
            used[-1].end_us,
            outcome,
            score=min(1.0, judged.score),
            participant_id=used[-1].participant_id,
            track_id=used[-1].track_id,
            values={"node": node.code, "statement": one.number, "how": judged.likeness.value},
            words=words[-_MAX_WORDS:],
        )


def _joined(
    row: Sequence[Utterance], reach: int, pack: Pack
) -> tuple[tuple[Token, ...], list[Utterance]]:
    """The last utterance, and as much before it as a statement may need."""
    used: list[Utterance] = []
    count = 0
    for said in reversed(row):
        used.insert(0, said)
        count += len(tokens_of(said.text))
        if count >= reach + len(tokens_of(row[-1].text)):
            break
    return tokens_of("。".join(pack.plain(said.text) for said in used)), used
