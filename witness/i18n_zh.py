"""Chinese for every text given to :func:`witness.i18n.t`."""

CATALOGUE: dict[str, str] = {
    # Headings and help.
    "usage: ": "用法: ",
    "arguments": "参数",
    "options": "选项",
    "commands": "命令",
    "COMMAND": "命令",
    "FILE": "文件",
    "NAME": "名称",
    "TIME": "时长",
    "show this help": "显示本帮助",
    "`witness COMMAND --help` explains a command.": "用 `witness 命令 --help` 查看某个命令的说明。",
    "`{command} --help` explains it": "用 `{command} --help` 查看说明",
    "Media server for recorded financial sales.": "用于金融双录的媒体服务器。",
    "run the server": "运行服务器",
    "Runs the server until SIGTERM or SIGINT. Then new rooms are refused and running calls may end"
    " by themselves, at most server.drain_s seconds; a second signal ends them at once.": (
        "运行服务器，直到收到 SIGTERM 或 SIGINT。此后不再接受新房间，进行中的通话可自行结束，"
        "最多等待 server.drain_s 秒；再次收到信号则立即结束。"
    ),
    "a call on this machine: server, two participants, a report": (
        "在本机演示一次通话：服务器、两位参与者和报告"
    ),
    "Starts a server for this machine only, joins an RM and a customer who send real sound and"
    " pictures, and reports what each of them received.": (
        "启动仅供本机使用的服务器，让客户经理和客户各一位加入并发送真实的声音和画面，"
        "然后报告双方各收到了什么。"
    ),
    "stay up until interrupted": "保持运行，直到被中断",
    "preferred TCP port; another one if it is taken": "首选 TCP 端口；若被占用则另选",
    "length of the call before the report": "报告之前的通话时长（秒）",
    "print the report as JSON": "以 JSON 输出报告",
    "sign a token that lets somebody into a room": "签发进入房间的令牌",
    "Signs a token with an HS256 key of the configuration and prints it. Tokens signed with EdDSA"
    " or ES256 are made by your own system: the server only knows their public key.": (
        "用配置中的 HS256 密钥签发令牌并输出。EdDSA 或 ES256 令牌由您自己的系统签发："
        "服务器只有公钥。"
    ),
    "room id": "房间编号",
    "rm, customer, expert or supervisor": (
        "rm（客户经理）、customer（客户）、expert（专家）或 supervisor（监督）"
    ),
    "name shown to the others": "显示给其他人的名称",
    "participant id (default: random)": "参与者编号（默认随机）",
    "validity: 90s, 30m, 1h (default: 1h)": "有效期：90s、30m、1h（默认 1h）",
    "key id (default: the first HS256 key)": "密钥编号（默认为第一个 HS256 密钥）",
    "print a link to the call page of the server at URL instead of the bare token": (
        "打印指向 URL 处服务器通话页面的链接，而不只是令牌"
    ),
    "make a self-signed certificate for tests on a local network": "制作用于局域网测试的自签名证书",
    "Browsers give camera and microphone only to https pages (and localhost). This makes a"
    " certificate for a server on your own network; the browser will ask whether to trust it. Not"
    " for production.": (
        "浏览器只允许 https 页面（以及 localhost）使用摄像头和麦克风。本命令为您自己网络中的服务器"
        "制作证书；浏览器会询问是否信任。请勿用于生产环境。"
    ),
    "host name or IP address; may be repeated": "主机名或 IP 地址；可重复",
    "validity in days (default: 90)": "有效天数（默认 90）",
    "certificate to write (default: witness-cert.pem)": "写入的证书文件（默认 witness-cert.pem）",
    "key to write, readable by you only (default: witness-key.pem)": (
        "写入的私钥文件，仅您可读（默认 witness-key.pem）"
    ),
    "check, show or explain the configuration": "检查、显示或解释配置",
    "Check, show or explain the configuration.": "检查、显示或解释配置。",
    "name every wrong key or value with its place": "指出每个错误的键或值及其位置",
    "print the settings in force, secrets hidden": "输出生效的设置（不含密钥）",
    "print a commented file with every key and its default": (
        "输出带注释的配置文件，含所有键及默认值"
    ),
    "configuration file (default: $WITNESS_CONFIG, else built-in defaults)": (
        "配置文件（默认为 $WITNESS_CONFIG，否则用内置默认值）"
    ),
    "file to check": "要检查的文件",
    "print the JSON Schema of the signaling messages": "输出信令消息的 JSON Schema",
    "print the version": "输出版本",
    "say whether the server on this machine is alive": "查看本机服务器是否在运行",
    "alive": "正在运行",
    "no answer": "没有应答",
    # Wrong usage.
    "missing: {what}": "缺少: {what}",
    "not understood: {what}": "无法识别: {what}",
    "{what} can't be {value}; choose from {names}": "{what} 不能是 {value}；可选: {names}",
    "{what} can't be {value}": "{what} 不能是 {value}",
    "{what} needs a value": "{what} 需要一个值",
    "--days must be 1 to {days}": "--days 必须为 1 到 {days}",
    "--port must be 0 to 65535": "--port 必须为 0 到 65535",
    "--seconds must be 1 to 86400": "--seconds 必须为 1 到 86400",
    "--ttl is longer than signaling.auth.max_ttl_s allows": (
        "--ttl 超过了 signaling.auth.max_ttl_s 的上限"
    ),
    "--ttl {text} is not a time; write 90s, 30m or 1h": (
        "--ttl {text} 不是时长；请写 90s、30m 或 1h"
    ),
    "the configuration has no such HS256 key (signaling.auth.keys)": (
        "配置中没有这样的 HS256 密钥（signaling.auth.keys）"
    ),
    "{path} exists; remove it first": "{path} 已存在；请先删除",
    "{host} is neither a host name nor an IP address": "{host} 既不是主机名也不是 IP 地址",
    "can't write {path}: {reason}": "无法写入 {path}: {reason}",
    "certificate: {path}": "证书: {path}",
    "key:         {path}": "私钥: {path}",
    "SHA-256:     {fingerprint}": "SHA-256: {fingerprint}",
    "Use them: WITNESS_SERVER__TLS_CERT={cert} WITNESS_SERVER__TLS_KEY={key}": (
        "使用方法: WITNESS_SERVER__TLS_CERT={cert} WITNESS_SERVER__TLS_KEY={key}"
    ),
    # Configuration.
    "the configuration is good": "配置正确",
    "the file must hold sections, such as `server:`": "文件必须由各节组成，例如 `server:`",
    "aliases are not supported": "不支持别名",
    "nested too deeply": "嵌套过深",
    "a key must be a plain word": "键必须是普通的词",
    "{path}: larger than 1 MiB": "{path}: 大于 1 MiB",
    "{path}: not UTF-8": "{path}: 不是 UTF-8 编码",
    "{place}: {key} stands here a second time": "{place}: {key} 重复出现",
    "there is no such key": "没有这个键",
    "there is no such setting": "没有这个设置",
    "; did you mean {near}?": "；是否想写 {near}？",
    " (is {value})": "（当前为 {value}）",
    "this is a section; a variable sets one key of it": "这是一个节；环境变量只能设置其中的一个键",
    "{key} is a value, not a section": "{key} 是值，不是节",
    "a secret does not belong here; put it into a file and name that: {key}_file": (
        "机密不应写在这里；请放入单独的文件并写明其路径: {key}_file"
    ),
    "must be a whole number": "必须是整数",
    "must be a number": "必须是数字",
    "must be true or false": "必须是 true 或 false",
    "must be text": "必须是文本",
    "must be a path": "必须是路径",
    "must be {expected}": "必须是 {expected}",
    "must be greater than {gt}": "必须大于 {gt}",
    "must be {ge} or more": "不能小于 {ge}",
    "must be less than {lt}": "必须小于 {lt}",
    "must be {le} or less": "不能大于 {le}",
    "must be a section with keys": "必须是含有键的节",
    "must be a list": "必须是列表",
    "is missing": "缺失",
    "must have at least {min_length} entries": "至少要有 {min_length} 项",
    "must have at most {max_length} entries": "至多 {max_length} 项",
    "must have at least {min_length} characters": "至少要有 {min_length} 个字符",
    "does not have the expected form ({pattern})": "格式不符（{pattern}）",
    "write '127.0.0.1:9090' or '[::1]:9090'": "请写成 '127.0.0.1:9090' 或 '[::1]:9090'",
    "signaling.auth.demo_key lets in anybody and is for this machine only: turn it off, or leave"
    " out {keys}": (
        "signaling.auth.demo_key 允许任何人进入，只能用于本机: 请将其关闭，或去掉 {keys}"
    ),
    # Start and life of the server.
    "the installation is incomplete: {path} is missing": "安装不完整: 缺少 {path}",
    "{cert} and {key} are not a certificate and its key in PEM form": (
        "{cert} 和 {key} 不是 PEM 格式的证书及其私钥"
    ),
    "can't read {cert} or {key}: {reason}": "无法读取 {cert} 或 {key}: {reason}",
    "can't listen on {address}: {reason}": "无法监听 {address}: {reason}",
    "listening on {url}": "正在监听 {url}",
    "also at {url}": "也可访问 {url}",
    "browsers give camera and microphone to https pages only, except on this machine; `witness"
    " cert` makes a certificate": (
        "除本机外，浏览器只允许 https 页面使用摄像头和麦克风；可用 `witness cert` 制作证书"
    ),
    "metrics at {url}": "指标位于 {url}",
    "the demo key is on: anybody on this machine may join": (
        "演示密钥已启用: 本机上的任何人都可以加入"
    ),
    "nobody can join: signaling.auth.keys is empty": "无人能够加入: signaling.auth.keys 为空",
    # Demonstration.
    "server:      {url}": "服务器: {url}",
    "join it with a browser on this machine: {url}": "用本机浏览器加入: {url}",
    "{count} participants are connected": "{count} 位参与者已接通",
    "staying up; Ctrl+C ends it": "保持运行；按 Ctrl+C 结束",
    "the call failed: {reason}": "通话失败: {reason}",
    "the server signs no token (HTTP {status})": "服务器不签发令牌（HTTP {status}）",
    "no connection within {seconds} s": "{seconds} 秒内未能接通",
    "frames decoded so far: {counts}": "已解码帧数: {counts}",
    "{receiver} received no {kind} from {sender}": "{receiver} 没有收到 {sender} 的{kind}",
    "{receiver} could decode only {frames} of {expected} {kind} frames": (
        "{receiver} 只解码了 {expected} 帧{kind}中的 {frames} 帧"
    ),
    "audio": "音频",
    "video": "视频",
    "receiver": "接收方",
    "from": "来自",
    "track": "媒体",
    "packets": "包数",
    "lost": "丢失",
    "frames": "帧数",
    "per s": "每秒",
    "delay": "延迟",
    "round trip": "往返",
    "unknown": "未知",
    "silence": "静音",
}
