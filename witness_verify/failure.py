"""Why a package is refused: a code for machines, and two texts for people."""

from __future__ import annotations

__all__ = ["CODES", "Failure"]

CODES = {
    "unreadable": ("文件无法读取", "the file can't be read"),
    "trust_file": (
        "--trust 所给的证书文件无法读取",
        "the file with certificates given to --trust can't be read",
    ),
    "head_file": (
        "--head 所给的日志头文件无法读取",
        "the file with a log head given to --head can't be read",
    ),
    "internal": (
        "校验程序在此步骤出错：未作判断，按失败处理",
        "the verifier itself broke at this: nothing is decided, so it fails",
    ),
    "container": ("ZIP 结构不是规定的形式", "the ZIP is not of the one allowed form"),
    "path": ("文件名不被允许或重复", "a file name is not allowed or there twice"),
    "too_large": ("超过格式规定的上限", "more than the format allows"),
    "json": ("JSON 不是规范形式", "JSON that is not canonical"),
    "form": ("字段缺失或类型错误", "a field is missing or of the wrong kind"),
    "format_unknown": ("未知的格式版本", "an unknown version of the format"),
    "files": ("文件清单与内容不符", "the files are not those of the manifest"),
    "file_changed": ("文件内容与清单中的摘要不符", "a file is not the one of the manifest"),
    "session": ("会话文件与清单不符", "session file and manifest disagree"),
    "signature": ("签名无效", "a signature is wrong"),
    "signers": ("签名者与清单不符", "the signatures are not those the manifest asks for"),
    "certificate": ("证书无法使用", "a certificate can't be used"),
    "signer_unknown": (
        "无法判断由谁封存：请用 --trust 提供可信证书",
        "who sealed it can't be told: give certificates you trust with --trust",
    ),
    "timestamp": ("时间戳无效", "the time-stamp is wrong"),
    "timestamp_time": ("时间戳与封存时间矛盾", "the time-stamp contradicts the time of sealing"),
    "timestamp_unknown": (
        "时间戳机构不可信：请用 --trust 提供其证书",
        "who stamped it can't be told: give its certificate with --trust",
    ),
    "chain": ("事件日志的链条断裂", "the chain of the event log is broken"),
    "chain_head": (
        "事件日志的末端与清单不符",
        "the event log does not end where the manifest says",
    ),
    "event": ("事件内容不合规定", "an event is not what its type asks for"),
    "event_time": ("事件晚于封存时间", "an event is later than the sealing"),
    "chunk": ("分片索引与事件日志不符", "chunk index and event log disagree"),
    "merkle": ("分片的 Merkle 根不符", "the Merkle root of a track is wrong"),
    "segment": (
        "媒体文件中的数据包与事件所述的包数或时间不符",
        "packets of a media file are not as many, or not of the time, as the log says",
    ),
    "track": (
        "轨道来自何人：文件与事件日志不符",
        "who sent a track: its file, the manifest and the event log disagree",
    ),
    "recording": ("录制未正常开始或结束", "the recording was not started or not stopped"),
    "hole": ("存在未声明的缺口", "something is missing and was not declared"),
    "gaps": ("缺口清单与事件日志不符", "the list of gaps is not that of the event log"),
    "attempts": ("补录记录不连续", "attempts of a node are missing"),
    "client": (
        "终端声明发送过的内容既不在包内，也未声明缺失",
        "what a device said it sent is neither here nor declared missing",
    ),
    "device": (
        "媒体与终端在通话中给出的摘要不符",
        "the media are not what a device said it sent",
    ),
    "device_key": ("终端的密钥或签名无效", "a device's key or signature is wrong"),
    "device_chain": ("终端签名的摘要不连续", "a batch that a device signed is missing"),
    "device_unknown": (
        "所给的终端密钥没有签过任何摘要",
        "the device key that was given signed nothing here",
    ),
    "inclusion": ("不在透明日志中", "it is not in the transparency log"),
    "consistency": ("透明日志被改写过", "the transparency log was rewritten"),
    "head": ("与所给的日志头矛盾", "it contradicts the log head that was given"),
    "head_unproven": (
        "所给的日志头无法与本包比较",
        "the log head that was given can't be compared with this package",
    ),
}
"""Every reason for FAIL, in Chinese and English."""


class Failure(Exception):
    """A check that did not hold.

    Attributes:
        code: a key of :data:`CODES`.
        detail: where, language-neutral; of what a package says only what can be printed, so that
            none moves a terminal's cursor and writes a verdict of its own.
    """

    def __init__(self, code: str, detail: object = "") -> None:
        self.code = code
        shown = str(detail)[:200]
        self.detail = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)
        super().__init__(f"{code}: {self.detail}")
