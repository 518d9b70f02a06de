"""Chinese for recording, sealing and verifying."""

EVIDENCE: dict[str, str] = {
    # Recording.
    "what recording costs the media thread": "录制给媒体线程带来的开销",
    "in about half a minute": "约半分钟内完成",
    "media thread per recorded packet": "媒体线程每个录制包的开销",
    "added delay p99, not recorded": "附加延迟 p99（未录制）",
    "added delay p99, recorded": "附加延迟 p99（录制中）",
    "media thread waited for a processor, not recorded and recorded": (
        "媒体线程等待处理器的时间占比（未录制、录制中）"
    ),
    "written to the disk": "写入磁盘",
    "packets dropped for want of memory": "因内存不足丢弃的包",
    "can't read {path}: {reason}": "无法读取 {path}：{reason}",
    "can't use the recording directory {path}: {reason}": "无法使用录制目录 {path}：{reason}",
    "recording needs a directory": "录制需要指定目录",
    "can't use the texts of consents {path}: {reason}": "无法使用授权文本 {path}：{reason}",
    "it is longer than 64 KiB": "超过 64 KiB",
    # Commands.
    "make the evidence package of a recorded session": "为录制完成的会话制作证据包",
    "Seals a session whose recording was stopped: media, event log, gaps, digests, signatures,"
    " time-stamp and an entry in the transparency log in one file that `witness verify` checks"
    " without this server.": (
        "封存已停止录制的会话：媒体、事件日志、缺口、摘要、签名、时间戳以及透明日志中的登记，"
        "合为一个文件；无需本服务器即可用 `witness verify` 校验。"
    ),
    "SESSION": "会话",
    "id of the session in recording.directory, or a directory": (
        "recording.directory 中的会话编号，或会话所在目录"
    ),
    "don't wait for uploads: what they would bring is declared missing": (
        "不等待补传：尚未补传的内容声明为缺失"
    ),
    "session {session} waits for {count} chunks that may still be uploaded: seal it later, or now"
    " with --now": ("会话 {session} 仍有 {count} 个片段可能补传：请稍后封存，或用 --now 立即封存"),
    # The page on this machine.
    "show a recording on the playback page, on this machine": "在本机用调阅页面查看录像",
    "Serves the playback page for one recording to browsers on this machine, and prints its link,"
    " until Ctrl+C. Views are logged as on a server.": (
        "在本机提供一段录像的调阅页面并显示链接，按 Ctrl+C 结束。调阅同样会被记录。"
    ),
    "TCP port (default: any that is free)": "TCP 端口（默认任选空闲端口）",
    "open no browser": "不打开浏览器",
    "watch it: {url}": "调阅链接: {url}",
    "watch it:    {command}": "调阅:       {command}",
    "Ctrl+C ends it": "按 Ctrl+C 结束",
    # Alerts.
    "write how long it took, for the textfile collector of Prometheus": (
        "写出耗时等指标，供 Prometheus 的 textfile 采集器读取"
    ),
    "a webhook needs exactly one of secret and secret_file": (
        "配置 webhook 时须且只能给出 secret 或 secret_file 之一"
    ),
    # Views.
    "tell who watched a recording, when and why": "查看谁在何时因何调阅了录像",
    "Checks the log of a recording's views and prints it: who, role, purpose, what was fetched. Its"
    " last digest is to be compared with those in the server's log.": (
        "校验并列出一段录像的调阅记录：人员、角色、用途、所取内容。末行摘要可与服务器日志中的摘要比对。"
    ),
    "tell who looked for recordings, when and by what": "查看谁在何时按何条件检索过录像",
    "Checks the log of searches on the playback page and prints it. --head is the digest of a line"
    " as the server's log has it: what was cut off shows.": (
        "校验并列出调阅页面的检索记录。--head 为服务器日志中某行的摘要：被截去的内容会显现。"
    ),
    "of this person only": "仅此人员",
    "a line that has to be there": "必须存在的一行",
    "looked for": "检索条件",
    "line {seq} of the log of searches is not what was written": (
        "检索日志第 {seq} 行已不是当初写入的内容"
    ),
    "the log of searches has no line with the digest {digest}": (
        "检索日志中没有摘要为 {digest} 的行"
    ),
    "{count} noted heads are in it": "其中含有已登记的 {count} 个链头",
    "no head of it was ever noted": "从未登记过它的链头",
    "the log of views of {session} was removed": "{session} 的调阅日志已被删除",
    "the log of views of {session} was begun anew or changed": "{session} 的调阅日志被重写或更改过",
    "the log of views of {session} was cut off: line {seq} is missing": (
        "{session} 的调阅日志被截断：缺少第 {seq} 行"
    ),
    "line {seq} of the heads of logs of views is not what was written": (
        "调阅日志链头登记的第 {seq} 行已不是当初写入的内容"
    ),
    "nobody has watched {session}": "无人调阅过 {session}",
    "when (UTC)": "时间 (UTC)",
    "who": "人员",
    "role": "角色",
    "purpose": "用途",
    "fetched": "所取内容",
    "note": "说明",
    "the chain is whole: {count} lines, the last is {digest}": (
        "记录链完整：共 {count} 行，末行摘要为 {digest}"
    ),
    # Flow and transcript.
    "{where}: {reason}": "{where}：{reason}",
    "the session's flow has no node {node}; it has {nodes}": (
        "会话的流程中没有环节 {node}；已有：{nodes}"
    ),
    "the flow doesn't let node {node} be recorded again": "流程不允许补录环节 {node}",
    "the transcript is closed": "转写文本已封存，不能再追加",
    "a transcript has at most {bytes} bytes": "转写文本最多 {bytes} 字节",
    # The demonstration.
    "PASS": "通过",
    "PASS WITH DECLARED GAPS": "通过，但有已声明的缺口",
    "FAIL": "未通过",
    "{seconds:.1f} s of all tracks together are declared missing": (
        "各轨道合计有 {seconds:.1f} 秒已声明缺失"
    ),
    " ({text})": "（{text}）",
    "recording:   {path}": "录制内容:   {path}",
    "package:     {path}, {size:.1f} MiB": "证据包:     {path}，{size:.1f} MiB",
    "verdict:     {verdict}": "校验结论:   {verdict}",
    "check it:    {command}": "再次校验:   {command}",
    "film:        {path}": "影片:       {path}",
    "no film:     {reason}": "未生成影片: {reason}",
    "make a film: {command}": "生成影片:   {command}",
    "everything of it lies in {path}": "全部文件位于 {path}",
    "nothing was recorded": "没有录制到任何内容",
    "where recordings stay, of the last five demonstrations (default:"
    " ~/.local/share/witness/demo)": (
        "录制内容的存放目录，保留最近五次演示（默认: ~/.local/share/witness/demo）"
    ),
    "there is no home directory to keep the demonstration in: give --directory": (
        "没有可存放演示内容的主目录：请给出 --directory"
    ),
    # Sessions.
    "list the recorded sessions": "列出已录制的会话",
    "Lists the sessions in recording.directory: room, start, length, tracks, how much of the time"
    " was captured live and how much uploads filled, gaps that are left, how much of what clients"
    " sent is there (uploads included), and whether there is a package.": (
        "列出 recording.directory 中的会话：房间、开始时间、时长、轨道数、实时录制与补传补齐时间的"
        "比例、剩余缺口数、终端所发内容（含补传）的比例，以及是否已封存。"
    ),
    "session": "会话",
    "room": "房间",
    "started (UTC)": "开始（UTC）",
    "length": "时长",
    "tracks": "轨道",
    "captured": "实时录制",
    "filled": "补传补齐",
    "gaps left": "剩余缺口",
    "sound sent": "所发声音",
    "pictures sent": "所发画面",
    "state": "状态",
    "sealed": "已封存",
    "yes": "是",
    "no": "否",
    "ready": "就绪",
    "recording": "录制中",
    "paused": "已暂停",
    "interrupted": "已中断",
    "stopped": "已停止",
    "damaged": "已损坏",
    "no sessions in {directory}": "{directory} 中没有会话",
    "{name} is both {one} and {other}: give the path": (
        "{name} 既可指 {one}，也可指 {other}：请给出路径"
    ),
    "several sessions begin with {name}: {names}": "多个会话以 {name} 开头：{names}",
    "{name} is no directory of a session, and recording.directory is not set: give it in the"
    " configuration or as WITNESS_RECORDING__DIRECTORY": (
        "{name} 不是会话目录，且未设置 recording.directory：请在配置文件中或用"
        " WITNESS_RECORDING__DIRECTORY 给出"
    ),
    "recording.directory is not set: give it in the configuration or as"
    " WITNESS_RECORDING__DIRECTORY": (
        "未设置 recording.directory：请在配置文件中或用 WITNESS_RECORDING__DIRECTORY 给出"
    ),
    "there is no session {name}: {directory} holds none": (
        "没有会话 {name}：{directory} 中没有任何会话"
    ),
    "there is no session {name}; {directory} holds {names}": (
        "没有会话 {name}；{directory} 中有 {names}"
    ),
    "{names} and {count} more": "{names} 及另外 {count} 个",
    "package to write (default: the session's id with .zip, in evidence.packages_directory or"
    " here)": ("要写入的证据包（默认为 evidence.packages_directory 或当前目录下的“会话编号.zip”）"),
    "check an evidence package, offline": "离线校验证据包",
    "Checks a package step by step. Exit codes: 0 PASS, 1 PASS WITH DECLARED GAPS, 2 FAIL; what"
    " can't be checked is no pass.": (
        "逐步校验证据包。退出码: 0 通过，1 通过但有已声明的缺口，2 未通过；无法判断的不算通过。"
    ),
    "evidence package": "证据包",
    "certificates (PEM) of those who seal and stamp, or of who certified them": (
        "封存者和时间戳机构的证书（PEM），或为其签发证书的机构的证书"
    ),
    "SHA256": "SHA256",
    "SHA-256 of a device's key that has to have signed digests; may be given again": (
        "必须签过摘要的终端密钥的 SHA-256，可多次给出"
    ),
    "head of the transparency log that was kept elsewhere": "另行保存的透明日志头",
    "language (default: that of the environment)": "语言（默认按环境）",
    "keys to seal with": "封存所用的密钥",
    "Keys to seal with.": "封存所用的密钥。",
    "make the keys that packages are sealed with": "生成封存证据包的密钥",
    "Makes an Ed25519 and an SM2 key with self-signed certificates in evidence.keys_directory."
    " Give the certificates to whoever will verify packages, or have your own authority certify"
    " the keys.": (
        "在 evidence.keys_directory 中生成 Ed25519 和 SM2 密钥及其自签名证书。"
        "请把证书交给校验者，或由贵方的证书机构为密钥签发证书。"
    ),
    "name in the certificates": "证书中的名称",
    "validity in days (default: 3650)": "有效天数（默认 3650）",
    "also make a key for time-stamps of this machine, for tests": (
        "同时生成本机时间戳密钥，仅供测试"
    ),
    "the transparency log": "透明日志",
    "The transparency log.": "透明日志。",
    "print the signed head, for somebody else to keep": "输出签名的日志头，供他方保存",
    "Prints the newest signed head. Whoever keeps it can tell later that no package before it was"
    " taken back, exchanged or put in (`witness verify --head`).": (
        "输出最新的签名日志头。保存它的人日后可以判断：此前的证据包没有被撤回、替换或插入"
        "（`witness verify --head`）。"
    ),
    "prove that it grew out of the log's first N entries": "证明它由日志的前 N 条增长而来",
    "sealed: {path}, {bytes} bytes, {segments} files of media, entry {entry} of the log": (
        "已封存: {path}，{bytes} 字节，媒体文件 {segments} 个，透明日志第 {entry} 条"
    ),
    "the package does not pass: {code}; see `witness verify {path}`": (
        "证据包未通过校验: {code}；请运行 `witness verify {path}`"
    ),
    "--days must be 1 to 36500": "--days 必须在 1 到 36500 之间",
    "--name must be 1 to 64 letters, digits, spaces, . _ or -": (
        "--name 必须是 1 到 64 个字母、数字、空格或 . _ -"
    ),
    "{percent} %, {left} s left": "{percent} %，剩余 {left} 秒",
    "give tsa_url or tsa_local, not both": "tsa_url 和 tsa_local 只能给出一个",
    # Errors of the recorder.
    "a {kind} has no canonical JSON": "{kind} 类型的值没有规范 JSON 形式",
    "nested more than {depth} deep": "嵌套超过 {depth} 层",
    "a text holds half a surrogate pair": "文本中有不成对的代理字符",
    "{value} is beyond 2^53 - 1": "{value} 超出 2^53 - 1",
    "a key is no text": "键不是文本",
    "digests are an object of sha256 and sm3": "摘要应是含 sha256 和 sm3 的对象",
    "a digest has 64 lower-case hexadecimal digits": "摘要应为 64 位小写十六进制数字",
    "{path} has keys already; they are never replaced": "{path} 中已有密钥；密钥不会被替换",
    "others may read {path}: chmod 600 it": "其他用户可以读取 {path}：请执行 chmod 600",
    "{path} holds no Ed25519 key": "{path} 中没有 Ed25519 密钥",
    "{path} is not the key of its certificate": "{path} 与其证书不是一对",
    "{path} can't be read: {reason}; `witness keys init` makes keys": (
        "无法读取 {path}: {reason}；可用 `witness keys init` 生成密钥"
    ),
    "{path} holds no certificate in PEM form": "{path} 中没有 PEM 格式的证书",
    "{path} holds no key without a password": "{path} 中没有未加密的密钥",
    "evidence.{key} is not set: give it in the configuration or as {variable}": (
        "未设置 evidence.{key}：请在配置文件中或用 {variable} 给出"
    ),
    "line {seq} of the event log is not what was written": (
        "事件日志第 {seq} 行已不是当初写入的内容"
    ),
    "line {seq} of the event log does not follow the one before it": (
        "事件日志第 {seq} 行与前一行不相连"
    ),
    "the event log does not end in an event": "事件日志的末尾不是事件",
    "{type} is no type of an event": "{type} 不是事件类型",
    "the event log can't be written: {reason}": "事件日志无法写入: {reason}",
    "the event log is closed": "事件日志已关闭",
    "an event of {bytes} bytes is too long": "事件过长（{bytes} 字节）",
    "the event log of session {session} is being written by another process": (
        "会话 {session} 的事件日志正由另一个进程写入"
    ),
    "the package of session {session} would not pass, at {step}: {reason};"
    " nothing was entered into the transparency log": (
        "会话 {session} 的证据包在“{step}”一步无法通过校验：{reason}；未在透明日志中登记任何内容"
    ),
    "{path} exists already; packages are never replaced": "{path} 已存在；证据包不会被替换",
    "session {session} is being recorded: stop it first": "会话 {session} 正在录制：请先停止",
    "there is no directory {path}: make it first": "没有目录 {path}：请先创建",
    "the recording of session {session} has not been stopped ({state})": (
        "会话 {session} 的录制尚未停止（{state}）"
    ),
    "{path} was never closed: start the server once, it finishes what a crash left": (
        "{path} 未正常关闭：请启动一次服务器，它会完成崩溃时未完成的文件"
    ),
    "{path} is no JSON": "{path} 不是 JSON",
    "{path} is not the file the event log tells of": "{path} 与事件日志所述的文件不符",
    "{path} changed while it was sealed": "{path} 在封存过程中被改动",
    "{path} is missing": "缺少 {path}",
    "{type} lacks {key}": "{type} 缺少 {key}",
    "{command} makes no sense while the recording is {state}": (
        "录制状态为 {state} 时不能执行 {command}"
    ),
    "node {node} was recorded already: use re_record": "环节 {node} 已录制过：请用 re_record",
    "node {node} was not recorded yet: use next": "环节 {node} 尚未录制：请用 next",
    "the room has a session that has not been stopped": "该房间有尚未停止的会话",
    "nobody is in the room": "房间里没有人",
    "the room is being recorded already": "该房间已在录制",
    "{session} is no session id": "{session} 不是会话编号",
    "{path} belongs to session {session}": "{path} 属于会话 {session}",
    "session {session} exists already": "会话 {session} 已存在",
    "{path} can't be read: {reason}": "无法读取 {path}: {reason}",
    "{path} is of an unknown version": "{path} 的版本未知",
    "{path} does not describe a session": "{path} 不是会话描述文件",
    "SM2 and local time-stamps need the openssl command: install it": (
        "SM2 和本机时间戳需要 openssl 命令：请安装"
    ),
    "openssl {command} took too long": "openssl {command} 超时",
    "openssl {command} failed: {reason}": "openssl {command} 失败: {reason}",
    "the time-stamp authority refused to stamp": "时间戳机构拒绝签发",
    "the time-stamp authority stamped something else": "时间戳机构签发的不是所请求的内容",
    "the time-stamp authority gave no answer: {reason}": "时间戳机构没有应答: {reason}",
    "the transparency log has {size} entries": "透明日志共有 {size} 条",
    "the transparency log in {path} is not what was signed": ("{path} 中的透明日志与签名时不符"),
}
