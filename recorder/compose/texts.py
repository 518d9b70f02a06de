"""What is written into the picture, in Chinese and English."""

import unicodedata
from typing import Final

__all__ = ["LANGUAGES", "Texts", "all_texts", "drawable", "say"]

LANGUAGES: Final = ("zh", "en")

Texts = dict[str, tuple[str, str]]

_PICTURES: Final = 0x2600
"""From here on symbols are small pictures, which fonts for text don't have."""

_TEXTS: Final[Texts] = {
    "role.rm": ("理财经理", "relationship manager"),
    "role.customer": ("客户", "customer"),
    "role.expert": ("专家", "expert"),
    "role.supervisor": ("督导", "supervisor"),
    "document": ("文件", "document"),
    "paused": ("录制已暂停", "recording paused"),
    "outage": ("服务器中断，未录制", "server outage, not recorded"),
    "no_camera": ("未发送画面", "no picture is sent"),
    "gap": ("画面缺失", "picture missing"),
    "sound_gap": ("声音缺失", "sound missing"),
    "cause.network": ("网络丢失", "lost on the network"),
    "cause.disk_full": ("磁盘已满", "disk full"),
    "cause.disk_slow": ("磁盘过慢", "disk too slow"),
    "cause.disk_error": ("磁盘故障", "disk failure"),
    "cause.damaged": ("文件已损坏", "file is damaged"),
    "cause.crash": ("服务中断", "server was interrupted"),
    "cause.client_gone": ("设备已离线", "device was gone"),
    "cause.evicted": ("设备已删除该段", "device no longer had it"),
    "cause.refused": ("上传内容不符", "upload was refused"),
    "cause.pending": ("等待补传", "upload was awaited"),
    "cause.log_lost": ("日志事件丢失", "events of the log were lost"),
    "cause.paused": ("录制已暂停", "recording paused"),
    "cause.unknown": ("原因未知", "cause unknown"),
    "node": ("环节 {node}", "node {node}"),
    "attempt": ("环节 {node}（第 {attempt} 次）", "node {node} (attempt {attempt})"),
    "superseded": ("{title}，已补录", "{title}, recorded again later"),
    "between": ("其他时段", "between nodes"),
    "mark": ("标记：{label}", "mark: {label}"),
    "derived": ("由原始录制合成，仅供查看", "composed from the recording, for viewing only"),
}


def say(key: str, language: str, **values: object) -> str:
    """The text of a key; for an unknown role or cause the word itself."""
    pair = _TEXTS.get(key)
    if pair is None:
        return key.partition(".")[2] or key
    return pair[LANGUAGES.index(language)].format(**values)


def all_texts(language: str) -> list[str]:
    """Every text that may be written, for the choice of a font."""
    place = LANGUAGES.index(language)
    return [*(pair[place] for pair in _TEXTS.values()), "0123456789:+- ·–…"]


def drawable(text: str) -> str:
    """What people called themselves, as a font for text can write it.

    A dot stands for each emoji; what can't be seen, or turns the direction of writing, is left out.
    """
    return "".join(_drawn(char) for char in unicodedata.normalize("NFC", text)).strip()


def _drawn(char: str) -> str:
    kind = unicodedata.category(char)
    if kind in {"Cc", "Zl", "Zp"}:
        return " "
    if kind[0] == "C" or "VARIATION SELECTOR" in unicodedata.name(char, ""):
        return ""
    return "·" if kind in {"So", "Sk"} and ord(char) >= _PICTURES else char
