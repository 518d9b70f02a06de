"""Chinese for the archive."""

ARCHIVE: dict[str, str] = {
    # Commands.
    "where sealed sessions are kept": "已封存会话的归档",
    "begin the archive": "新建归档",
    "Once, before anything else: afterwards a directory that isn't mounted is noticed.": (
        "最先执行一次：此后目录未挂载时会被发现。"
    ),
    "take over a storage whose directory was lost": "接管目录已丢失的存储",
    "archive {name} in {directory}": "归档 {name}，位于 {directory}",
    "archive sealed sessions": "归档已封存的会话",
    "Copies packages into the archive and reads them again to compare. Called again it "
    "goes on where it was cut off. Originals are removed only with "
    "archive.remove_originals, and only after that.": (
        "把证据包复制到归档存储，再重新读出比对。中断后再次执行会接着进行。"
        "只有设置了 archive.remove_originals 才会删除原件，并且只在比对之后。"
    ),
    "id of a session, or its directory": "会话编号，或会话所在目录",
    "all that are sealed and not archived": "所有已封存而未归档的会话",
    "say what is archived and what waits": "显示已归档和等待归档的内容",
    "read archived sessions again and compare them": "重新读出已归档的会话并比对",
    "Reads every object from beginning to end, compares its digest, and has the verifier "
    "look at the package as it lies in the storage.": (
        "完整读出每个对象并比对摘要，再由校验器检查存储中的证据包。"
    ),
    "keep sessions for a case, whatever their day": "因案件冻结会话（司法保全），到期也不删除",
    "say that a case needs sessions no longer": "解除某案件对会话的冻结",
    "CASE": "案件",
    "name of the case": "案件名称",
    "archived session": "已归档的会话",
    "make the catalogue anew from what is stored": "根据存储内容重建目录",
    "say who did what, and why": "显示何人因何做了什么",
    "of this session only": "仅限该会话",
    "who does it, for the journal (default: your user name)": (
        "操作人，记入日志（默认为当前用户名）"
    ),
    "search the archive": "检索归档",
    "id of a session, or its beginning": "会话编号或其开头部分",
    "order or contract number": "订单号或合同号",
    "customer's pseudonymous id": "客户的假名化编号",
    "id of somebody who took part": "参与者编号",
    "go on where a page ended": "从上一页结束处继续",
    "DAY": "日期",
    "recorded on this day (UTC) or later": "在该日（UTC）或之后录制",
    "recorded on this day (UTC) or before": "在该日（UTC）或之前录制",
    "only those; due: its day has passed": "仅限该状态；due 表示已到期",
    "at most so many (default: 100)": "最多条数（默认 100）",
    "say from when the time of keeping counts": "设定保管期限的起算日",
    "The time of keeping counts from the contract's end; it can only become longer.": (
        "保管期限自合同终止日起算，只能延长。"
    ),
    "last day of the contract": "合同最后一日",
    "day a dispute was settled": "争议了结之日",
    "say what may be deleted today, or delete it": "列出今天可以删除的内容，或予以删除",
    "Lists sessions whose day has passed and that no case needs. With --delete they are "
    "deleted; what the storage keeps stays.": (
        "列出保管期限已过且未被冻结的会话。加 --delete 则删除；存储仍须保管的不会删除。"
    ),
    "delete them": "予以删除",
    "why, for the journal": "原因，记入日志",
    "copy a session out of the archive": "从归档中取出会话",
    "where to (default: here)": "取出到何处（默认为当前目录）",
    "films too": "连同影片",
    # What is said.
    "give sessions, or --all-sealed": "请给出会话，或用 --all-sealed",
    "give --contract-end or --dispute-end": "请给出 --contract-end 或 --dispute-end",
    "--delete needs --reason and --today": "--delete 需要 --reason 和 --today",
    "which day it is (UTC); the clock has to agree": "今天的日期（UTC），须与系统时钟一致",
    "  still on this machine: {path}": "  本机仍有：{path}",
    "this machine's clock says {clock}, not {today}: nothing is deleted": (
        "本机时钟为 {clock}，而非 {today}：不删除任何内容"
    ),
    "archived: {session}, {bytes} bytes in {objects} objects, kept until {day}": (
        "已归档: {session}，{objects} 个对象共 {bytes} 字节，保管至 {day}"
    ),
    "the contract's end is known": "合同终止日确定之后",
    "nothing to archive": "没有需要归档的内容",
    "storage:  {name}, catalogue in {directory}": "存储:   {name}，目录位于 {directory}",
    "archived: {archived}, {bytes} bytes; {held} held, {due} may be deleted": (
        "已归档: {archived} 个，{bytes} 字节；冻结 {held} 个，可删除 {due} 个"
    ),
    "deleted:  {deleted}": "已删除: {deleted} 个",
    "waiting:  {names}": "待归档: {names}",
    "more: --cursor {cursor}": "还有更多: --cursor {cursor}",
    "nothing found": "没有找到",
    "{session}: {objects} objects are what was archived; the package: {verdict}": (
        "{session}: {objects} 个对象与归档时一致；证据包: {verdict}"
    ),
    "{session}: held for {cases}": "{session}: 因 {cases} 冻结",
    "nothing may be deleted today": "今天没有可以删除的内容",
    "deleted: {session}": "已删除: {session}",
    "kept: {session}: {reason}": "未删除: {session}: {reason}",
    "{packages} packages, {without} of them without a record": (
        "共 {packages} 个证据包，其中 {without} 个没有记录"
    ),
    "{value} is no day: write YYYY-MM-DD": "{value} 不是日期：请写成 YYYY-MM-DD",
    "order": "订单",
    "MiB": "MiB",
    "kept until": "保管至",
    "held for": "冻结案件",
    "none": "无",
    "time": "时间",
    "what": "事项",
    "why": "原因",
    "archived": "已归档",
    "deleted": "已删除",
    "held": "已冻结",
    "due": "已到期",
    # Errors.
    "can't use the archive's directory {path}: {reason}": "无法使用归档目录 {path}：{reason}",
    "originals are removed only when the package was verified: give evidence.keys_directory": (
        "只有证据包经过校验才会删除原件：请设置 evidence.keys_directory"
    ),
    "the end of the archive's journal is damaged: no line ends there": (
        "归档日志的末尾已损坏：其中没有完整的行"
    ),
    "the storage is that of archive {name}: its directory belongs here; if that is lost:"
    " `witness archive init --adopt`": (
        "存储属于归档 {name}：应使用它的目录；若该目录已丢失，请运行 `witness archive init --adopt`"
    ),
    "there is no archive in {path}: if it is on a file system of its own, mount it; a new"
    " one begins with `witness archive init`": (
        "{path} 中没有归档：若在独立的文件系统上，请先挂载；新建归档请运行 `witness archive init`"
    ),
    "the storage is not that of the archive in {path} ({name} instead of {expected}): is"
    " it mounted?": ("存储不属于 {path} 中的归档（是 {name}，应为 {expected}）：是否已挂载？"),
    "archive.json is not what was written there": "archive.json 已不是当初写入的内容",
    "archiving needs a directory": "归档需要指定目录",
    "storage s3 needs {key}": "存储 s3 需要 {key}",
    "archive.{key} is not set: give it in the configuration or as {variable}": (
        "未设置 archive.{key}：请在配置文件中或用 {variable} 给出"
    ),
    "archive.s3.secret_access_key is not set: give {variable} or a file": (
        "未设置 archive.s3.secret_access_key：请给出 {variable} 或文件"
    ),
    "session {name} has no package in {directory}: seal it first (`witness seal`)": (
        "{directory} 中没有会话 {name} 的证据包：请先封存（`witness seal`）"
    ),
    "{path} does not pass: {code}; see `witness verify`": (
        "{path} 未通过校验: {code}；请运行 `witness verify`"
    ),
    "session {name} is being archived by another process": "会话 {name} 正由另一个进程归档",
    "session {name} is not archived": "会话 {name} 未归档",
    "several archived sessions begin with {name}": "多个已归档的会话以 {name} 开头",
    "package {package} was deleted": "证据包 {package} 已删除",
    "{path} is not the package that was archived": "{path} 不是已归档的那个证据包",
    "{name} is no session id": "{name} 不是会话编号",
    "{name} is no name of a case: 1 to 64 letters, digits, _ or -": (
        "{name} 不是案件名称：应为 1 到 64 个字母、数字、_ 或 -"
    ),
    "case {case} does not hold session {name}": "案件 {case} 没有冻结会话 {name}",
    "no evidence package: {reason}": "不是证据包: {reason}",
    "the record beside {package} can't be read": "证据包 {package} 旁的记录无法读取",
    "{name} can't be the name of an archived file": "{name} 不能作为归档文件的名称",
    "limit must be 1 to {most}": "limit 必须在 1 到 {most} 之间",
    "state must be one of: {states}": "state 必须是: {states} 之一",
    "the cursor is none that was given out": "该 cursor 不是本服务给出的",
    "the catalogue was made by a newer version": "该目录由更新的版本建立",
    "the catalogue {path} can't be used: {reason}; `witness archive reindex` makes a new "
    "one after it was moved away": (
        "目录 {path} 无法使用: {reason}；把它移走后可用 `witness archive reindex` 重建"
    ),
    "a line of {bytes} bytes is too long": "行过长（{bytes} 字节）",
    "line {seq} of the archive's journal does not follow the one before it": (
        "归档日志第 {seq} 行与前一行不相连"
    ),
    "line {seq} of the archive's journal is not what was written": (
        "归档日志第 {seq} 行已不是当初写入的内容"
    ),
    "the archive's journal can't be written: {reason}": "归档日志无法写入: {reason}",
    "bucket {bucket} has no object lock": "存储桶 {bucket} 没有启用对象锁",
    "the storage can't be used: {reason}": "存储无法使用: {reason}",
    "the storage failed at {key}: {reason}": "存储在 {key} 处出错: {reason}",
    "the storage itself guards {key}": "存储服务自身保护着 {key}",
    "the storage keeps {key}": "存储仍须保管 {key}",
    "the time of keeping beside an object can't be read": "对象旁的保管期限无法读取",
    "the copy of {path} came out different": "{path} 的副本与原件不一致",
    "how long {key} is kept isn't known: it stays": "{key} 的保管期限未知：予以保留",
    "{key} is gone from the storage": "{key} 已不在存储中",
    "{key} is held for {cases}": "{key} 因 {cases} 被冻结",
    "{key} is kept": "{key} 仍须保管",
    "{key} is kept until {day}": "{key} 须保管至 {day}",
    "{day} is before the recording ({recorded}): give the right day": (
        "{day} 早于录制日期（{recorded}）：请填写正确的日期"
    ),
    "{day} is more than {years} years away, and can't become earlier once it is said:"
    " if it is right, say it again with --repeat {day}": (
        "{day} 距今超过 {years} 年，登记后不能提前：如确认无误，请用 --repeat {day} 再填一次"
    ),
    "the same day again, if it is over 60 years away": "距今超过 60 年时，再填一次同一日期",
    "{key} is kept until {day}; that can't become earlier": "{key} 须保管至 {day}，不能提前",
    "{key} is no key of an object": "{key} 不是对象的键",
    "{key} is not in the storage": "存储中没有 {key}",
    "{session} is not in the archive": "归档中没有 {session}",
    "{session} is not for everybody": "{session} 并非对所有人开放",
    "{key} is not what was archived": "{key} 与归档时不一致",
    "{path} is not the beginning of {key}: move it away, then fetch again": (
        "{path} 不是 {key} 的开头部分：请将其移走，然后重新取回"
    ),
    "{key} is there already, with another content; objects are never replaced": (
        "{key} 已存在且内容不同；对象不会被替换"
    ),
    "{key} is too large": "{key} 过大",
}
