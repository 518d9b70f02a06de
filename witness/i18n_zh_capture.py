"""Chinese for capture files, their keys and their plain copies."""

CAPTURE: dict[str, str] = {
    "files of recorded sessions": "录制会话的文件",
    "write plain copies of encrypted files": "写出加密文件的明文副本",
    "Writes what an encrypted capture file holds (pcapng, for Wireshark), or all of a"
    " session's. Every frame is checked; nothing is written over. The copies are not"
    " encrypted: keep them as you keep the key.": (
        "写出一个加密采集文件（pcapng，可用 Wireshark 打开）或整个会话的内容。每一帧都会校验，"
        "不覆盖任何文件。副本未加密，请像保管密钥一样保管。"
    ),
    "KEY": "密钥",
    "PATH": "路径",
    "SESSION|FILE": "会话|文件",
    "file:PATH or PATH, env:NAME, https://…; may be given several times (default:"
    " recording.key and recording.old_keys)": (
        "file:路径 或 路径、env:变量名、https://…；可给出多次"
        "（默认为 recording.key 和 recording.old_keys）"
    ),
    "file to write, or directory for a session (default: the name without .enc, or the"
    " session's id with -plain, here)": (
        "要写出的文件，会话则为目录（默认在当前目录：去掉 .enc 的文件名，或会话编号加 -plain）"
    ),
    "say what files are, without a key": "不用密钥，说明文件是什么",
    "Lists size, key and place of a capture file, or of all of a session.": (
        "列出一个采集文件或整个会话各文件的大小、密钥和所属位置。"
    ),
    "session, or one of its files": "会话，或其中一个文件",
    "key of encrypted files: file:PATH or PATH, env:NAME, https://… (default: recording.key)": (
        "加密文件的密钥：file:路径 或 路径、env:变量名、https://…（默认为 recording.key）"
    ),
    "{name} is not encrypted": "{name} 未加密",
    "decrypting": "解密",
    "give the key: --key, or recording.key in the configuration": (
        "请给出密钥：--key，或配置中的 recording.key"
    ),
    "{path} has no last frame: a crash, or somebody, cut it short": (
        "{path} 没有最后一帧：被崩溃或人为截短"
    ),
    "file": "文件",
    "bytes": "字节",
    "key": "密钥",
    "belongs to": "属于",
    "not encrypted": "未加密",
    "{path} is no encrypted file": "{path} 不是加密文件",
    "{path} lies in the directory of a recorded session, where only the recorder writes:"
    " choose another place with --out": (
        "{path} 位于录制会话的目录中，该目录仅由录制器写入：请用 --out 指定其他位置"
    ),
    "{path} exists already; nothing is written over": "{path} 已存在；不覆盖任何文件",
    "{path} is encrypted; give its key with --key": "{path} 已加密；请用 --key 指定密钥",
    "{path} is encrypted with another key ({id})": "{path} 用另一个密钥加密（{id}）",
    "{path} doesn't say that it belongs there": "{path} 未写明属于此处",
    "{path} belongs to {place}: it was put in another's place": (
        "{path} 属于 {place}：它被放在了别的文件的位置"
    ),
    "{path} was changed or cut off": "{path} 被改动或截断",
    "{path} holds no key of 32 bytes": "{path} 中没有 32 字节的密钥",
    "the variable {name} with a key is not set": "存放密钥的环境变量 {name} 没有设置",
    "{url} answered {status} instead of a key": "{url} 返回 {status}，而不是密钥",
    "no key from {url}: {reason}": "无法从 {url} 取得密钥：{reason}",
    "certificates for the server of keys can't be used: {reason}": (
        "密钥服务器所用的证书无法使用：{reason}"
    ),
    "give certificate and private_key, or neither": (
        "certificate 和 private_key 必须同时给出，或都不给出"
    ),
    "give key or key_file, not both": "key 和 key_file 只能给出一个",
    "old_keys need a key for new files": "有 old_keys 时必须给出新文件所用的 key",
}
