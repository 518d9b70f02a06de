"""Chinese for the texts of ``witness loadtest``."""

LOADTEST: dict[str, str] = {
    "measure calls over bad networks": "测量弱网下的通话",
    "Puts a bad network between participants and a server on this machine and measures what they"
    " hear and see. What is being done is said on standard error.": (
        "在本机的参与者与服务器之间加入弱网，测量参与者听到和看到的效果。进度输出到标准错误。"
    ),
    "list the network profiles, drawn over time": "列出网络模型，并按时间画出",
    "print the profiles as JSON": "以 JSON 输出网络模型",
    "PROFILE": "网络模型",
    "names or YAML files (default: all)": "名称或 YAML 文件（默认：全部）",
    "two browsers in a call over a bad network": "两个浏览器在弱网下通话",
    "what is bad: down to one participant, up from it, both (default: both)": (
        "受损方向：down 为到某一参与者，up 为来自该参与者，both 为双向（默认：both）"
    ),
    "what is impaired: udp, all with signaling too (default: udp)": (
        "受损流量：udp，或包括信令在内的 all（默认：udp）"
    ),
    "what media may go over: udp alone, or any, TCP too, as in life (default: udp)": (
        "媒体可走的传输：仅 udp；或 any，与实际一样也可走 TCP（默认：udp）"
    ),
    "what makes the network bad: tun, an emulator between namespaces (root); tc, the "
    "kernel's netem (root); relay, for UDP alone, without root (default: tun)": (
        "由什么造成弱网：tun 为网络命名空间之间的模拟器（需要 root）；"
        "tc 为内核的 netem（需要 root）；relay 只影响 UDP，无需 root（默认：tun）"
    ),
    "say this at both ends, and recognise what is heard; no delay is measured then": (
        "两端播放这段语音，并识别听到的内容；此时不测延迟"
    ),
    "what the speech says": "语音的文字",
    "--speech and --text belong together": "--speech 与 --text 须一起使用",
    "no such file": "没有这个文件",
    "speech can't be recognised here: {reason}": "此处无法识别语音：{reason}",
    "character error rate {way}: {said} as said, {heard} as heard, of {count} characters": (
        "字错误率（{way}）：原声 {said}，对端听到 {heard}，共 {count} 字"
    ),
    "fresh pages that join over a bad network, one after the other": "新页面在弱网下逐次入会",
    "joins (default: 20)": "入会次数（默认：20）",
    "seconds after which a join has failed (default: 40)": "超过多少秒算入会失败（默认：40）",
    "three joins of 15 s at most": "三次入会，每次最多 15 秒",
    "--tries must be 1 to {most}": "--tries 必须在 1 到 {most} 之间",
    "--within must be 1 to {most}": "--within 必须在 1 到 {most} 之间",
    "try {number} of {count}: sound after {heard}, pictures after {seen}": (
        "第 {number} 次，共 {count} 次：{heard} 后有声音，{seen} 后有画面"
    ),
    "WebSocket open": "WebSocket 已连接",
    "let in by the server": "服务器已准入",
    "ICE and DTLS done": "ICE 与 DTLS 完成",
    "sound at both ends": "双方有声音",
    "pictures at both ends": "双方有画面",
    "median": "中位数",
    "not in time": "未在时限内",
    "within {seconds:g} s": "{seconds:g} 秒内",
    "rooms of light participants over a bad network, without browsers or root": (
        "轻量参与者的房间在弱网下通话，无需浏览器和 root"
    ),
    "rooms of two (default: 5)": "两人房间的数量（默认：5）",
    "length of the measurement (default: 30)": "测量时长，秒（默认：30）",
    "two rooms, 5 s": "两个房间，5 秒",
    "lost on the path": "链路丢包",
    "{participants} participants joined in {join:.2f} s each; {missing} of the packets never"
    " came; {sent} were sent, {received} arrived": (
        "{participants} 个参与者，每个入会用时 {join:.2f} 秒；"
        "{missing} 的包最终未到；发出 {sent} 个，收到 {received} 个"
    ),
    "length of one measurement (default: 60)": "单次测量的时长，秒（默认：60）",
    "measurements; the worst counts (default: 3)": "测量次数，取最差值（默认：3）",
    "in place of the profile's seed": "代替网络模型中的随机种子",
    "one short run, in under 45 s": "一次短测量，45 秒以内完成",
    "write a page with plots to look at": "写出带图表的网页",
    "name of a network profile, or a YAML file (default: none)": (
        "网络模型的名称，或 YAML 文件（默认：none）"
    ),
    "--seconds must be 1 to 3600": "--seconds 必须在 1 到 3600 之间",
    "--runs must be 1 to {most}": "--runs 必须在 1 到 {most} 之间",
    "--seed must be 0 or more and have less than 64 bits": "--seed 不能为负，且必须少于 64 位",
    "can't write {path}: {reason}": "无法写入 {path}：{reason}",
    "there is no network profile {name}; choose from {names}, or name a YAML file": (
        "没有名为 {name} 的网络模型；可选 {names}，或指定 YAML 文件"
    ),
    # The matrix.
    "every bad network in turn, compared with the reference": "依次测量每种弱网，并与参考值比较",
    "PATTERN": "模式",
    "FOLDER": "文件夹",
    "fields such as random70/down, 'burst*' or '*/both'; may be repeated": (
        "要测量的项，如 random70/down、'burst*' 或 '*/both'；可多次给出"
    ),
    "measurements of each field; the worst counts (default: 1)": (
        "每项的测量次数，取最差值（默认：1）"
    ),
    "keeps what was measured; what is there is not measured again (default: target/weaknet)": (
        "保存测量结果，已有的不再重测（默认：target/weaknet）"
    ),
    "what to compare with (default: docs/weak-networks.json)": (
        "用于比较的参考值（默认：docs/weak-networks.json）"
    ),
    "make this the reference, and write its table into a Markdown file": (
        "将本次结果作为参考值，并把表格写入 Markdown 文件"
    ),
    "no field of the matrix matches --only": "没有符合 --only 的测量项",
    "{done} of {count} fields are measured already; the others take about {minutes} min": (
        "{count} 项中已测 {done} 项，其余约需 {minutes} 分钟"
    ),
    "run before everything else on this machine; needs root, slows others down": (
        "优先于本机其他程序运行；需要 root，会拖慢其他程序"
    ),
    "not compared and not kept, the machine was too busy: {names}": (
        "机器过于繁忙，不比较也不保留：{names}"
    ),
    "the machine was too busy for every field": "机器过于繁忙，所有项均不可信",
    "the machine was too busy; once more": "机器过于繁忙，重测一次",
    "{path} is no reference: {reason}": "{path} 不是参考值文件：{reason}",
    "{path} has no place for the table: a line `{begin}`, a line `{end}`": (
        "{path} 中没有放表格的位置：需要一行 `{begin}` 和一行 `{end}`"
    ),
    "not in the reference: {names}": "参考值中没有：{names}",
    "worse than the reference:": "以下各项比参考值差：",
    "{field}, {way}: {key} was {old}, is {new}": "{field}，{way}：{key} 原为 {old}，现为 {new}",
    # Mistakes in a profile.
    "percent must be at least good_percent and less than bad_percent where mean_burst is given": (
        "给出 mean_burst 时，percent 不得小于 good_percent，且必须小于 bad_percent"
    ),
    "mean_burst is too short for so much loss; make it longer": (
        "丢包率如此之高时 mean_burst 太短，请加长"
    ),
    "jitter_ms must not exceed delay_ms: no packet arrives before it left": (
        "jitter_ms 不得超过 delay_ms：包不可能在发出之前到达"
    ),
    "steps must stand in the order of at_s": "steps 必须按 at_s 的先后排列",
    # Profiles in words.
    "both ways": "双向",
    "down": "下行",
    "up": "上行",
    "nothing comes through": "完全中断",
    "loss {percent:g} %, bursts of {burst:g}": "丢包 {percent:g} %，平均连续 {burst:g} 个包",
    "loss {percent:g} %": "丢包 {percent:g} %",
    "{rate:g} kb/s, queue {queue:g} ms": "{rate:g} kb/s，队列 {queue:g} 毫秒",
    "delay {delay:g} ms": "时延（毫秒）{delay:g}",
    "{percent:g} % late by {delay:g} ms": "{percent:g} % 的包晚到 {delay:g} 毫秒",
    "{percent:g} % twice": "{percent:g} % 重复",
    # Progress.
    "starting a server and two browsers": "启动服务器和两个浏览器",
    "joining": "加入通话",
    "media flows, time to adapt": "音画已通，等待自适应",
    "measuring": "测量中",
    "run {number} of {count}: {profile}, {direction}": (
        "第 {number} 次，共 {count} 次：{profile}，{direction}"
    ),
    # Results.
    "audio concealed": "音频补偿占比",
    "interruptions ≥ 150 ms per minute": "每分钟 ≥ 150 毫秒中断次数",
    "pictures per second": "视频帧率",
    "picture frozen": "画面卡顿占比",
    "audio on the link": "音频占用带宽",
    "video on the link": "视频占用带宽",
    "audio delay, mouth to ear": "口到耳时延",
    "from joining to media": "加入到出音画",
    "{name} (not impaired)": "{name}（未受损）",
    "media went over {transports}": "媒体经由 {transports}",
    "unknown": "未知",
    # Errors.
    "can't measure here: {reason}": "无法在此测量：{reason}",
    "the measurement failed: {reason}": "测量失败：{reason}",
    "the machine was too busy: pages could not run for a while; measure again": (
        "机器过于繁忙，页面曾一度无法运行，请重新测量"
    ),
}
