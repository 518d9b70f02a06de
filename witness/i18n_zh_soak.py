"""Chinese for the texts of ``witness loadtest soak``."""

SOAK: dict[str, str] = {
    "rooms full of people who come and go, for long, and what is left of it": (
        "长时间运行：多个房间，人员不断进出，最后检查残留"
    ),
    "until everybody leaves (default: 30)": "到所有人离开为止的分钟数（默认 30）",
    "rooms at most (default: 6)": "最多的房间数（默认 6）",
    "of what everybody does (default: 1)": "决定所有动作的随机种子（默认 1）",
    "everything once, in about 40 s; no trend": "约 40 秒内把各种情况走一遍；不判断趋势",
    "--minutes must be 0.1 to {most}": "--minutes 必须在 0.1 到 {most} 之间",
    "--rooms must be 1 to {most}": "--rooms 必须在 1 到 {most} 之间",
    "the soak can't be run: {reason}": "长时间测试无法进行：{reason}",
    # Progress.
    "starting a server": "正在启动服务器",
    "everybody has left": "所有人都已离开",
    "{left} left: {people} people in {rooms} rooms, {actions} actions, {memory} MiB,"
    " {descriptors} descriptors": (
        "剩余 {left}：{rooms} 个房间 {people} 人，已执行 {actions} 个动作，内存 {memory} MiB，"
        "描述符 {descriptors} 个"
    ),
    "the machine stood still for {seconds} s": "机器停顿了 {seconds} 秒",
    "{action} failed: {reason}": "动作 {action} 失败：{reason}",
    "room {room}: no {kind} for {seconds} s": "房间 {room}：{kind}中断了 {seconds} 秒",
    # Verdict.
    "left behind at the end: {rooms} rooms, {transports} transports, {sockets} WebSockets,"
    " {packets} waiting packets": (
        "结束时残留：{rooms} 个房间，{transports} 个传输，{sockets} 个 WebSocket，"
        "{packets} 个排队中的包"
    ),
    "descriptors: {start} at the start, {end} at the end": "描述符：开始时 {start}，结束时 {end}",
    "threads: {start} at the start, {end} at the end": "线程：开始时 {start}，结束时 {end}",
    "memory is flat: {slope} MiB an hour in the second half ({low} to {high}, at most {bound})": (
        "内存平稳：后半段每小时 {slope} MiB（{low} 到 {high}，上限 {bound}）"
    ),
    "memory grows: {slope} MiB an hour in the second half ({low} to {high}, at most {bound})": (
        "内存在增长：后半段每小时 {slope} MiB（{low} 到 {high}，上限 {bound}）"
    ),
    "too short to tell whether memory grows: {slope} MiB an hour in the second half ({low} to"
    " {high}, at most {bound})": (
        "时间太短，无法判断内存是否增长：后半段每小时 {slope} MiB（{low} 到 {high}，上限 {bound}）"
    ),
    "too short to say anything about memory (at most {bound} MiB an hour)": (
        "时间太短，无法判断内存（上限每小时 {bound} MiB）"
    ),
    "packets that don't add up: in {wrong} of {samples} samples (stages: {stages})": (
        "收支不平的包：{samples} 次采样中有 {wrong} 次（阶段：{stages}）"
    ),
    "subscriptions that got another layer: {up} a higher, {down} a lower one": (
        "切换层次的订阅：升高 {up} 次，降低 {down} 次"
    ),
    "subscriptions without packets for more than {patience} s: {count} (looked at {checked}"
    " times, longest silence {longest} s)": (
        "超过 {patience} 秒没有收到包的订阅：{count}（共检查 {checked} 次，最长静默 {longest} 秒）"
    ),
    "actions: {done} done, {failed} failed": "动作：完成 {done}，失败 {failed}",
    "rooms ended by a broken invariant: {panics}": "因内部错误而终止的房间：{panics}",
    "events lost between media thread and Python: {events}": (
        "媒体线程与 Python 之间丢失的事件：{events}"
    ),
    "metrics that could not be read: {failed}": "未能读取的指标次数：{failed}",
    "held": "通过",
    "failed": "未通过",
    "the machine stood still {count} times, {seconds} s in all; {excused} failures after that are"
    " not counted": "机器停顿 {count} 次，共 {seconds} 秒；其后的 {excused} 次失败不计入",
    "datagrams the kernel lost before the server saw them: {count}": (
        "服务器收到之前被内核丢弃的数据报：{count}"
    ),
    "the server held": "服务器经受住了测试",
    "the server did not hold": "服务器未能经受住测试",
    # The page.
    "Soak of the server": "服务器长时间运行测试",
    "{minutes} min, up to {rooms} rooms, seed {seed}: {packets} packets in, {forwarded} out": (
        "{minutes} 分钟，最多 {rooms} 个房间，种子 {seed}：收包 {packets}，转发 {forwarded}"
    ),
    "red bars: the machine stood still": "红色竖条：机器停顿",
    "What was done": "执行的动作",
    "connection": "连接",
    "What went wrong": "出现的问题",
    "stay in the room": "留在房间",
    "Dropped packets by reason": "丢弃的包（按原因）",
    "Memory of its own (not mapped from files), MiB": "自身内存（不含文件映射），MiB",
    "Resident memory, MiB": "常驻内存，MiB",
    "Descriptors": "描述符",
    "Threads": "线程",
    "Rooms": "房间",
    "Participants": "参与者",
    "Media transports": "媒体传输",
    "WebSockets": "WebSocket 连接",
    "Packets that wait": "排队中的包",
    "Commands that wait": "排队中的命令",
    "Lateness of the event loop, ms": "事件循环延迟，毫秒",
    "Packets received per second": "每秒收包",
    "Packets forwarded per second": "每秒转发包",
    "Packets dropped per second": "每秒丢弃包",
    "joined": "加入",
    "left": "离开",
    "gone without a word": "不辞而别",
    "WebSocket lost and resumed": "WebSocket 断开后恢复",
    "page loaded again": "页面重新加载",
    "new media connection": "新建媒体连接",
    "tiles resized": "画面大小改变",
    "muted": "静音",
    "unmuted": "取消静音",
    "screen shared": "开始共享屏幕",
    "screen no longer shared": "停止共享屏幕",
    "moved to another address": "网络地址变化",
    "lossy network": "网络丢包",
    "no network for a moment": "短暂断网",
    "no network for longer than the participation waits": "断网超过保留时间",
    "WebSocket not read for a while": "一段时间不读取 WebSocket",
}
