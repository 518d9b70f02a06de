"""Chinese for the texts of ``witness bench``."""

BENCH: dict[str, str] = {
    "measure what forwarding costs on this machine": "测量本机的转发开销",
    "Starts a server and a load generator on this machine and measures. Needs two CPUs and some"
    " quiet; what is being done is said on standard error.": (
        "在本机启动一个服务器和一个负载发生器并进行测量。需要两个 CPU，且机器应尽量空闲；"
        "进度输出到标准错误。"
    ),
    "CPU per forwarded packet, delay, memory, and how they grow": (
        "每个转发包的 CPU 开销、延迟、内存及其增长"
    ),
    "packet delay while Python is kept busy": "Python 繁忙时的转发延迟",
    "one engine beside two": "一个引擎与两个引擎的对比",
    "three-party rooms under load": "承受负载的三方房间数",
    "length of one measurement": "单次测量的时长（秒）",
    "print the result as JSON": "以 JSON 输出结果",
    "measurements of each kind": "每种测量的次数",
    "all but the growth curve, in under 45 s": "除增长曲线外的全部测量，45 秒以内完成",
    "draw the growth curve (SVG)": "绘制增长曲线（SVG）",
    "--plot needs the growth curve, which --quick leaves out": (
        "--plot 需要增长曲线，而 --quick 不测量它"
    ),
    "--rooms must be 1 to 5000": "--rooms 必须在 1 到 5000 之间",
    "--rounds must be 1 to 1000": "--rounds 必须在 1 到 1000 之间",
    "--seconds must be 0.05 to 3600": "--seconds 必须在 0.05 到 3600 之间",
    # Progress.
    "{count} of {wanted} rooms are open": "已打开 {count} / {wanted} 个房间",
    "looking for the load that keeps the server at {share} % of a core": (
        "寻找使服务器占用一个核 {share} % 的负载"
    ),
    "round {number} of {count}": "第 {number} 轮，共 {count} 轮",
    "delay at half load": "半载时的延迟",
    "cost with {count} rooms": "{count} 个房间时的开销",
    "phase: {name}": "阶段：{name}",
    "engines: {count}": "引擎数：{count}",
    # Errors.
    "the server under test does not answer": "被测服务器没有响应",
    "the server under test has ended": "被测服务器已退出",
    "a participant can't join: {reason}": "有参与者无法加入：{reason}",
    "only {count} of {wanted} participants are connected": (
        "{wanted} 位参与者中只有 {count} 位已连接"
    ),
    "two engines need two CPUs": "两个引擎需要两个 CPU",
    "a quick measurement has no growth curve to draw": "快速测量没有可绘制的增长曲线",
    "the server kept up at no point of the growth curve": "服务器在增长曲线的各点均跟不上负载",
    # Results.
    "figure": "指标",
    "measured": "测得",
    "least to most": "最小至最大",
    "target": "目标",
    "server CPU per 1,100-byte packet": "每个 1100 字节包的服务器 CPU",
    "… packets of a picture spaced out": "……同一帧的包均匀间隔发送时",
    "server CPU per 120-byte packet": "每个 120 字节包的服务器 CPU",
    "raw limit, 1,100 bytes": "原始极限，1100 字节",
    "raw limit, 120 bytes": "原始极限，120 字节",
    "ratio to the raw limit": "与原始极限之比",
    "packets per second and core": "每核每秒转发包数",
    "added delay p50 / p99 / p99.9": "附加延迟 p50 / p99 / p99.9",
    "… taken by the machine's host": "……被宿主机占用",
    "p99 ≤ 1 ms": "p99 ≤ 1 毫秒",
    "three-party 720p rooms per core": "每核可承载的三方 720p 房间数",
    "memory per participant": "每位参与者的内存",
    "cost at 300 rooms over cost at 10, median and quartiles": (
        "300 个房间与 10 个房间的开销之比（中位数与四分位数）"
    ),
    "cost with 10 and with 300 rooms in turn": "轮流测量 10 个和 300 个房间的开销",
    "rooms": "房间数",
    "µs, same rate": "微秒，包速率不变",
    "thread that writes, per packet": "写文件线程，每包",
    "thread that hashes, per packet": "计算摘要线程，每包",
    "thread that syncs, per packet": "落盘线程，每包",
    "the processors: other work had them": "处理器：被其他工作占用",
    "the disk": "磁盘",
    "age of what was written, at most": "写入内容的最大延迟",
    "what fell behind": "落后的环节",
    "nothing": "无",
    "the disk does not take the sessions of the rooms": "磁盘无法为各房间建立会话",
    "the disk does not take the files that were recorded": "磁盘无法写完已录制的文件",
    "… media thread": "……媒体线程",
    "µs, calls": "微秒，通话流量",
    "cores, calls": "核数，通话流量",
    "phase": "阶段",
    "calm": "平静",
    "blocked handler": "处理程序阻塞",
    "garbage collection": "垃圾回收",
    "joins": "集中加入",
    "detectors": "检测器",
    "findings at full rate": "检测结果满速",
    "hung detector": "检测器挂起",
    "calm again": "恢复平静",
    "findings/s": "检测结果/秒",
    "restarts": "重启",
    "the host of detectors says nothing": "检测进程没有响应",
    "Python, cores": "Python 占用核数",
    "engine": "引擎",
    "the first, alone": "第一个引擎，单独运行",
    "the first, beside the second": "第一个引擎，与第二个同时运行",
    "the second, beside the load generator": "第二个引擎，与负载发生器共用核",
    "µs per packet": "每包微秒",
    "scaling": "扩展倍数",
    # Transcripts.
    "how long after a sentence its text is there": "一句话说完多久后有文字",
    "what is said in it: a directory with sentences.json (default: somebody hums)": (
        "其中所说的话：含 sentences.json 的目录（默认：哼声）"
    ),
    "recognising speech: not measured, nobody spoke (--speech)": (
        "语音识别：未测量，无人说话（--speech）"
    ),
    "directory of spoken sentences with their list, sentences.json": (
        "录有句子的目录，含清单 sentences.json"
    ),
    "sentences (default: 30)": "句数（默认: 30）",
    "--count must be 1 to 1000": "--count 须为 1 到 1000",
    "{path} lists no sentences": "{path} 未列出任何句子",
    "no host recognises speech here": "这里没有能识别语音的检测进程",
    "{count} packets were dropped": "丢弃了 {count} 个包",
    "{heard} of {sentences} sentences have a text; load {before} before, {after} after": (
        "{sentences} 句中 {heard} 句有文字；测量前负载 {before}，测量后 {after}"
    ),
    "final text, after the end of a sentence": "最终文字，距句末",
    "partial text, after the sound it is about": "临时文字，距其对应的声音",
    "first text, after the beginning of a sentence": "首次文字，距句首",
    "{name}: none": "{name}：无",
    "{name}: {median} s (median), {p95} s (95 %), {worst} s": (
        "{name}：{median} 秒（中位数），{p95} 秒（95%），最长 {worst} 秒"
    ),
    " (target: {s} s)": "（目标：{s} 秒）",
    # The figure.
    "whole server": "整个服务器",
    "media thread alone": "仅媒体线程",
    "Server CPU per forwarded packet": "每个转发包的服务器 CPU",
    "three-party rooms": "三方房间数",
    "µs per packet of 1,100 bytes, at {rate} packets per second": (
        "每个 1100 字节包的微秒数，每秒 {rate} 包"
    ),
    "raw limit: AES-GCM and one sendto": "原始极限：AES-GCM 加一次 sendto",
}
