"""Chinese for every text given to :func:`witness.i18n.t`."""

from witness.i18n_zh_analytics import ANALYTICS
from witness.i18n_zh_archive import ARCHIVE
from witness.i18n_zh_bench import BENCH
from witness.i18n_zh_capture import CAPTURE
from witness.i18n_zh_compose import COMPOSE
from witness.i18n_zh_detector import DETECTOR
from witness.i18n_zh_evidence import EVIDENCE
from witness.i18n_zh_loadtest import LOADTEST
from witness.i18n_zh_models import MODELS
from witness.i18n_zh_soak import SOAK

CATALOGUE: dict[str, str] = {
    **ANALYTICS,
    **ARCHIVE,
    **BENCH,
    **CAPTURE,
    **COMPOSE,
    **DETECTOR,
    **EVIDENCE,
    **LOADTEST,
    **MODELS,
    **SOAK,
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
    "`witness COMMAND --help` explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage or"
    " configuration, 3 the server can't start, 4 the demonstration did not work,"
    " 5 done but files of a recording are damaged, 130 interrupted.": (
        "用 `witness 命令 --help` 查看某个命令的说明。退出码: 0 完成，1 失败，2 用法或配置有误，"
        "3 服务器无法启动，4 演示未成功，5 已完成但录制文件有损坏，130 被中断。"
    ),
    ".": "。",
    "PORT": "端口",
    "ROLE": "角色",
    "`{command} --help` explains it": "用 `{command} --help` 查看说明",
    "Media server for recorded financial sales.": "用于金融双录的媒体服务器。",
    "run the server": "运行服务器",
    "Runs the server until SIGTERM or SIGINT. Then new rooms are refused and running calls may end"
    " by themselves, at most server.drain_s seconds; a second signal ends them at once.": (
        "运行服务器，直到收到 SIGTERM 或 SIGINT。此后不再接受新房间，进行中的通话可自行结束，"
        "最多等待 server.drain_s 秒；再次收到信号则立即结束。"
    ),
    "a call on this machine: server, two participants, a report, a sealed recording": (
        "在本机演示一次通话：服务器、两位参与者、报告和已封存的录制"
    ),
    "Starts a server for this machine only, joins an RM and a customer who send real sound and"
    " pictures, and reports what each of them received. Then it seals the recording with keys made"
    " for this demonstration, verifies the package and says where it lies; of a call up to 30 s it"
    " makes a film. Interrupted before the report it ends with code 130; with --keep, once the call"
    " is up, with code 0.": (
        "启动仅供本机使用的服务器，让客户经理和客户各一位加入并发送真实的声音和画面，"
        "然后报告双方各收到了什么。随后用本次演示专用的密钥封存录制内容、校验证据包并给出其位置；"
        "30 秒以内的通话还会生成影片。在报告之前中断，退出码为 130；若用 --keep，"
        "接通后中断的退出码为 0。"
    ),
    "stay up until Ctrl+C": "保持运行，直到按下 Ctrl+C",
    "preferred TCP port, another one if it is taken (default: 8080)": (
        "首选 TCP 端口，若被占用则另选（默认 8080）"
    ),
    "length of the call before the report (default: 20)": "报告之前的通话时长（秒，默认 20）",
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
    "sign a token for people and services that take part in no call": (
        "为不参加通话的人员和服务签发令牌"
    ),
    "Signs a token for the playback page and the programs of analytics and CRM, with an HS256 key"
    " of the configuration. Who watches recordings is logged by --id: give the person's id in your"
    " directory.": (
        "用配置中的 HS256 密钥为调阅页面及分析、CRM 程序签发令牌。调阅录像者按 --id 记录："
        "请填写此人在贵行目录中的编号。"
    ),
    "whose it is": "令牌归属者编号",
    "recordings of this room only; may be repeated (default: of all rooms)": (
        "仅限此房间的录像；可重复（默认所有房间）"
    ),
    "name of the person": "人员姓名",
    "print a link to the playback page of the server at URL instead of the bare token": (
        "打印指向 URL 处服务器调阅页面的链接，而不只是令牌"
    ),
    "make a self-signed certificate for tests on a local network": "制作用于局域网测试的自签名证书",
    "Browsers give camera and microphone only to https pages (and localhost). This makes a"
    " certificate for a server on your own network; the browser will ask whether to trust it. Not"
    " for production.": (
        "浏览器只允许 https 页面（以及 localhost）使用摄像头和麦克风。本命令为您自己网络中的服务器"
        "制作证书；浏览器会询问是否信任。请勿用于生产环境。"
    ),
    "host name, *.domain or IP address of the server; may be repeated": (
        "服务器的主机名、*.域名或 IP 地址；可重复"
    ),
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
    "file to check (default: $WITNESS_CONFIG)": "要检查的文件（默认为 $WITNESS_CONFIG）",
    "Names everything the server would stumble on: wrong keys and values of the file and of"
    " WITNESS_ variables, each with its place, and files and addresses they name that can't be"
    " used. Code 2 if there is any; warnings don't count.": (
        "指出服务器会遇到的所有问题: 文件和 WITNESS_ 环境变量中错误的键和值及其位置，以及其中写明"
        "但无法使用的文件和地址。有错误时退出码为 2；警告不计。"
    ),
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
    "{what} can't be {value}; it must be a whole number": "{what} 不能是 {value}；必须是整数",
    "{what} can't be {value}; it must be a number": "{what} 不能是 {value}；必须是数字",
    "{what} takes no value ({value})": "{what} 不带值（{value}）",
    "can't write the output: {reason}": "无法写出结果: {reason}",
    "{what} needs a value": "{what} 需要一个值",
    "--days must be 1 to {days}": "--days 必须为 1 到 {days}",
    "--port must be 0 to 65535": "--port 必须为 0 到 65535",
    "--seconds must be 1 to 86400": "--seconds 必须为 1 到 86400",
    "--ttl {text} is longer than signaling.auth.max_ttl_s allows ({seconds} s)": (
        "--ttl {text} 超过了 signaling.auth.max_ttl_s 的上限（{seconds} 秒）"
    ),
    "--ttl {text} is not a time; write 90s, 30m or 1h": (
        "--ttl {text} 不是时长；请写 90s、30m 或 1h"
    ),
    "the configuration has no HS256 key to sign with (signaling.auth.keys)": (
        "配置中没有可用于签发的 HS256 密钥（signaling.auth.keys）"
    ),
    "--kid {kid}: the configuration has no such HS256 key; there is {names}": (
        "--kid {kid}: 配置中没有这个 HS256 密钥；现有: {names}"
    ),
    "{option} {text} can't be used; write 1 to 64 of A-Z a-z 0-9 _ . -": (
        "{option} {text} 不可用；请写 1 到 64 个字符: A-Z a-z 0-9 _ . -"
    ),
    "--name {text} can't be used; at most 64 characters, no control characters": (
        "--name {text} 不可用；最多 64 个字符，不能有控制字符"
    ),
    "--page {text} is not the URL of a server; write https://host[:port]": (
        "--page {text} 不是服务器的 URL；请写 https://主机[:端口]"
    ),
    "room: neither . nor .., which can't be part of an address": (
        "房间: 不能是 . 或 ..，它们不能作为地址的一部分"
    ),
    "{option} {text} can't be used: no address can have it as a part; write another name": (
        "{option} {text} 不可用: 它不能作为地址的一部分；请换一个名称"
    ),
    "room and participant_id: 1 to 64 of A-Z a-z 0-9 _ . -": (
        "房间与参与者编号: 1 到 64 个字符 A-Z a-z 0-9 _ . -"
    ),
    "name: at most 64 characters, no control characters": "名称: 最多 64 个字符，不能有控制字符",
    "{path} exists; remove it first": "{path} 已存在；请先删除",
    "--host {host} is neither a host name nor an IP address; write lan.example, *.example.org,"
    " 192.0.2.1 or 2001:db8::1, without port and brackets": (
        "--host {host} 既不是主机名也不是 IP 地址；请写 lan.example、*.example.org、192.0.2.1 或"
        " 2001:db8::1，不带端口和方括号"
    ),
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
    "the file is empty; write at least one section, such as `server:`": (
        "文件是空的；请至少写一节，例如 `server:`"
    ),
    "aliases (*name) are not supported; write the value again": (
        "不支持别名（*名称）；请把值再写一遍"
    ),
    "nested too deeply": "嵌套过深",
    "a key must be a plain word": "键必须是普通的词",
    "larger than 1 MiB; is this the right file?": "大于 1 MiB；文件是否选错？",
    "not UTF-8; save the file in that encoding": "不是 UTF-8 编码；请以该编码保存文件",
    "stands here a second time, the first is in line {line}; remove one": (
        "重复出现，第一次在第 {line} 行；请删去其一"
    ),
    "this is no value of the type {tag}; write a plain one": (
        "这不是 {tag} 类型的值；请写普通的值"
    ),
    "a tab; YAML is indented with spaces": "有制表符；YAML 用空格缩进",
    "a value may not begin with {what}; put it in quotes": "值不能以 {what} 开头；请加引号",
    "a value may not begin with * or &; put it in quotes": "值不能以 * 或 & 开头；请加引号",
    "no `key: value` may stand here; check the indentation and the line above, or put a text that"
    " holds a colon in quotes": ("此处不能有 `键: 值`；请检查缩进和上一行，含冒号的文本请加引号"),
    "a colon and a space must follow the key": "键后面必须有冒号和空格",
    "no entry of a list may stand here; check the indentation": "此处不能有列表项；请检查缩进",
    "something stands behind the value; put all of it in quotes": (
        "值后面还有内容；请整个加上引号"
    ),
    "the indentation does not fit the lines above": "缩进与前面各行不一致",
    "a comma or {what} is missing": "缺少逗号或 {what}",
    "a quote is not closed": "引号没有闭合",
    "the file must hold one document only; remove the `---` in the middle": (
        "文件只能有一个文档；请删去中间的 `---`"
    ),
    "an unknown escape; put the text in single quotes": "未知的转义；请改用单引号",
    "a value is missing": "缺少值",
    "a control character; remove it": "有控制字符；请删去",
    "no valid YAML: {reason}": "不是有效的 YAML: {reason}",
    "warning: {text}": "警告: {text}",
    "and {count} more": "另有 {count} 项",
    "print the findings as JSON": "以 JSON 输出检查结果",
    "has no effect; did you mean {near}?": "不起作用；是否想写 {near}？",
    "{what}: hidden, from {variable}": "{what}: 已隐藏，来自 {variable}",
    "there is no such key": "没有这个键",
    "there is no such setting": "没有这个设置",
    "; did you mean {near}?": "；是否想写 {near}？",
    " (is {value})": "（当前为 {value}）",
    " (is empty)": "（当前为空）",
    " or ": " 或 ",
    "this is a section; a variable sets one key of it": "这是一个节；环境变量只能设置其中的一个键",
    "{key} is a value, not a section": "{key} 是值，不是节",
    "a secret does not belong here; put it into a file and name that: {key}": (
        "机密不应写在这里；请放入单独的文件并写明其路径: {key}"
    ),
    "must be a whole number": "必须是整数",
    "must be a number": "必须是数字",
    "must be true or false": "必须是 true 或 false",
    "must be text; put it in quotes": "必须是文本；请加引号",
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
    "must have at most {max_length} characters": "最多 {max_length} 个字符",
    "must be a network such as 192.0.2.0/24 or 2001:db8::/32": (
        "必须是网段，例如 192.0.2.0/24 或 2001:db8::/32"
    ),
    "does not have the expected form ({pattern})": "格式不符（{pattern}）",
    "{value} is no address with a port; write '127.0.0.1:9090' or '[::1]:9090'": (
        "{value} 不是带端口的地址；请写成 '127.0.0.1:9090' 或 '[::1]:9090'"
    ),
    "signaling.auth.demo_key lets in anybody and is for this machine only: turn it off, or leave"
    " out {keys}": (
        "signaling.auth.demo_key 允许任何人进入，只能用于本机: 请将其关闭，或去掉 {keys}"
    ),
    "tls_cert and tls_key belong together: give both or neither": (
        "tls_cert 和 tls_key 必须成对: 要么都写，要么都不写"
    ),
    "port plus the number of engines ({engines}) goes beyond 65535": (
        "port 加上引擎数（{engines}）超过了 65535"
    ),
    "tcp_port plus the number of engines ({engines}) goes beyond 65535": (
        "tcp_port 加上引擎数（{engines}）超过了 65535"
    ),
    "{value} is not like 'stun:host:3478'": "{value} 不符合 'stun:主机:3478' 的形式",
    "{value} is not like 'turns:host:443?transport=tcp'": (
        "{value} 不符合 'turns:主机:443?transport=tcp' 的形式"
    ),
    "turn_urls needs exactly one of turn_secret and turn_secret_file, and neither is of use"
    " without turn_urls": (
        "turn_urls 必须与 turn_secret 和 turn_secret_file 之一同用；没有 turn_urls 时两者都无用"
    ),
    "the secret must have at least 16 characters": "共享密钥至少要有 16 个字符",
    "{value} is neither an IP address nor a host name; write 127.0.0.1, ::1 or a name, without"
    " port and brackets": (
        "{value} 既不是 IP 地址也不是主机名；请写 127.0.0.1、::1 或主机名，不带端口和方括号"
    ),
    "{value} is no IP address; write 192.0.2.1 or 2001:db8::1, without port and brackets": (
        "{value} 不是 IP 地址；请写 192.0.2.1 或 2001:db8::1，不带端口和方括号"
    ),
    "{value} is the second IPv{version} address; one of each family is possible": (
        "{value} 是第二个 IPv{version} 地址；每个协议族只能有一个"
    ),
    "{value} is not an IP address; write '192.0.2.1', '2001:db8::1' or with a port"
    " '192.0.2.1:40000', '[2001:db8::1]:40000'": (
        "{value} 不是 IP 地址；请写 '192.0.2.1'、'2001:db8::1'，或带端口: '192.0.2.1:40000'、"
        "'[2001:db8::1]:40000'"
    ),
    "{value} can't be reached by a client; name a concrete address": (
        "客户端无法到达 {value}；请写具体的地址"
    ),
    "{value}: the port must be 1 to 65535": "{value}: 端口必须为 1 到 65535",
    "{value} is not an origin; write 'https://host[:port]'": (
        "{value} 不是来源；请写 'https://主机[:端口]'"
    ),
    "the key id 'demo' is reserved; set demo_key instead": (
        "密钥编号 'demo' 已被保留；请改用 demo_key"
    ),
    "give exactly one of secret, secret_file and public_key_file": (
        "secret、secret_file 和 public_key_file 必须且只能给出一个"
    ),
    "HS256 takes a secret, ES256 and EdDSA take public_key_file": (
        "HS256 使用 secret 或 secret_file，ES256 和 EdDSA 使用 public_key_file"
    ),
    "two keys have the kid {kid}; each needs its own": "有两个密钥的 kid 都是 {kid}；不能重复",
    # Files and addresses the settings name.
    "can't be read: {reason}": "无法读取: {reason}",
    "is not UTF-8": "不是 UTF-8 编码",
    "its first line is empty": "第一行是空的",
    "the secret must have at least 32 characters": "共享密钥至少要有 32 个字符",
    "holds no public key in PEM form": "其中没有 PEM 格式的公钥",
    "holds no key for {algorithm}": "其中的密钥不适用于 {algorithm}",
    "{path}: holds no certificate in PEM form": "{path}: 其中没有 PEM 格式的证书",
    "{path}: holds no private key in PEM form": "{path}: 其中没有 PEM 格式的私钥",
    "{path}: the key is encrypted; store it without a password": (
        "{path}: 私钥已加密；请以不带密码的形式保存"
    ),
    "{key} is not the key of the certificate {cert}": "{key} 不是证书 {cert} 的私钥",
    "{path}: expired on {date}; browsers refuse it, renew it": (
        "{path}: 已于 {date} 过期；浏览器会拒绝，请更新"
    ),
    "{path}: expires on {date}; renew it soon": "{path}: 将于 {date} 过期；请尽快更新",
    "can't listen at {name}: {reason}": "无法在 {name} 监听: {reason}",
    "must be a number, not yes or no": "必须是数字，不能是 yes 或 no",
    "no address found for {name}: {reason}": "找不到 {name} 的地址: {reason}",
    "advertised_addresses names a port, but every engine has its own; name addresses only": (
        "advertised_addresses 写了端口，但每个引擎各有自己的端口；请只写地址"
    ),
    "no address to advertise: advertised_addresses has none of a family listened on": (
        "没有可公布的地址: advertised_addresses 中没有与监听协议族相符的地址"
    ),
    "can't receive media on UDP {address} (media.listen, media.port): {reason}": (
        "无法在 UDP {address} 接收媒体（media.listen、media.port）: {reason}"
    ),
    # What the system refuses.
    "No such file or directory": "没有那个文件或目录",
    "Permission denied": "权限不足",
    "Operation not permitted": "不允许的操作",
    "Is a directory": "是一个目录",
    "Not a directory": "不是目录",
    "File exists": "文件已存在",
    "File name too long": "文件名过长",
    "Too many levels of symbolic links": "符号链接层数过多",
    "Read-only file system": "只读文件系统",
    "No space left on device": "设备上没有剩余空间",
    "Disk quota exceeded": "超出磁盘配额",
    "Input/output error": "输入/输出错误",
    "Invalid argument": "无效的参数",
    "Too many open files": "打开的文件过多",
    "Too many open files in system": "系统中打开的文件过多",
    "Cannot allocate memory": "无法分配内存",
    "Address already in use": "地址已被占用",
    "this machine has no such address": "本机没有这个地址",
    "Address family not supported by protocol": "不支持该地址族",
    "Network is unreachable": "网络不可达",
    "No route to host": "没有到主机的路由",
    "Connection refused": "连接被拒绝",
    "Connection reset by peer": "连接被对方重置",
    "Connection timed out": "连接超时",
    "Name or service not known": "未知的名称",
    "Temporary failure in name resolution": "名称解析暂时失败",
    "Non-recoverable failure in name resolution": "名称解析失败",
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
    "found:       {text}": "检测到:      {text}",
    "found:       {text}, told {seconds:.1f} s after it began": (
        "检测到:      {text}，发生后 {seconds:.1f} 秒提示"
    ),
    "over:        {text}": "已恢复:      {text}",
    "happens:     {text}": "发生:        {text}",
    "somebody covers the customer's camera": "有人遮住了客户的摄像头",
    "the customer leaves the seat": "客户离开了座位",
    "{path} does not exist: make it (mkdir), or mount its disk": (
        "{path} 不存在：请创建该目录（mkdir），或挂载其磁盘"
    ),
    "{path} is no directory": "{path} 不是目录",
    "{path} can't be written to by this user": "当前用户无法写入 {path}",
    "{path}: these lists of `answers` are empty: {names}; more passes as a yes": (
        "{path}: `answers` 中以下名单为空: {names}；会有更多答复被当作“是”"
    ),
    "not found:   the machine is too busy for detectors, it seems": (
        "未检测到:    本机可能过于繁忙，检测器来不及处理"
    ),
    "             its end was not told yet": "             尚未提示其结束",
    "waiting for detectors to load their models": "正在等待检测器加载模型",
    "watched by:  {count} detectors": "检测:        {count} 个检测器正在检测",
    "not watched: {title}: {reason}": "未检测:      {title}：{reason}",
    "its models are missing, see `witness models install`": (
        "缺少模型，请运行 `witness models install`"
    ),
    "it is not loaded yet": "尚未加载完成",
    "findings:    {count}, sealed in checks.jsonl": (
        "检测结果:    {count} 项，已封存于 checks.jsonl"
    ),
    "{what} not known ({cause})": "{what} 无法判断（{cause}）",
    "for some time not known: {what} ({why})": "有时段无法判断：{what}（{why}）",
    "only noted: {what}": "仅作记录：{what}",
    "{count} detectors": "{count} 个检测器",
    "too little to tell": "信息不足",
    "models are not installed": "模型未安装",
    "nobody has agreed to it": "未获授权",
    "it failed": "检测器出错",
    "it hung": "检测器无响应",
    "the machine was too busy": "本机过于繁忙",
    "models were being loaded": "模型正在加载",
    "what came could not be decoded": "收到的媒体无法解码",
    "its settings are wrong": "设置有误",
    "nothing came": "没有收到媒体",
    "the recording was paused": "录制已暂停",
    "since {at:.1f} s": "自 {at:.1f} 秒起",
    "{at:.1f} to {to:.1f} s": "{at:.1f} 至 {to:.1f} 秒",
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
