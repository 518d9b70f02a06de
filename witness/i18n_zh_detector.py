"""Chinese for ``witness detector``."""

DETECTOR: dict[str, str] = {
    "detectors: list, explain, begin and try them": "检测器：列出、说明、新建、试运行",
    "say which detectors there are": "列出检测器",
    "say what a detector does, needs and can't do": "说明检测器的作用、输入与局限",
    "Inputs, settings in force, outcomes, limits, cost, and the models with their digests.": (
        "输入、生效的设置、结论、局限、开销，以及模型及其摘要。"
    ),
    "name of a detector": "检测器名称",
    "name of a detector, or all": "检测器名称，或 all",
    "begin a detector of your own": "新建自己的检测器",
    "Writes a separate package that works, with one detector and its test, to be changed.": (
        "写出一个可直接运行的独立软件包，含一个检测器及其测试，供修改。"
    ),
    "small letters, digits and underscores": "小写字母、数字和下划线",
    "where to write it (default: here)": "写入的目录（默认: 当前目录）",
    "run detectors over a file": "对文件运行检测器",
    "Gives a detector the picture and sound of a file as if a participant sent them, and"
    " shows what it finds. Needs no server. Detectors whose words or findings it needs run"
    " as well.": (
        "把文件的画面和声音当作某位参与者发送的内容交给检测器，并显示其发现。不需要服务器。"
        "所依赖的其他检测器会一并运行。"
    ),
    "video or sound": "视频或音频文件",
    "who sends it: rm, customer, expert or supervisor (default: customer)": (
        "发送者: rm、customer、expert 或 supervisor（默认: customer）"
    ),
    "write a page with a timeline and the frames that caused findings": (
        "写出一个网页，含时间线和引起发现的画面"
    ),
    "detector": "检测器",
    "version": "版本",
    "package": "软件包",
    "needs consent": "需要同意",
    "ready": "就绪",
    "switched off": "已关闭",
    "lacks {models}": "缺少 {models}",
    "can't be had": "无法使用",
    "not in analytics.detectors": "未列入 analytics.detectors",
    "looks at": "对象",
    "needs": "输入",
    "does with people": "对人所做的处理",
    "what it finds": "发现",
    "settings": "设置",
    "limits": "局限",
    "cost of a minute on one core": "每分钟媒体的单核开销",
    "not measured": "未测量",
    "words": "文字",
    "marks": "会话事件",
    "score": "得分",
    "finding": "发现",
    "nothing was found": "没有发现",
    "next: pip install pytest -e {home}, then: python -m pytest {home}": (
        "接下来: pip install pytest -e {home}，然后: python -m pytest {home}"
    ),
    "{detector} is left out: {reason}": "略过 {detector}: {reason}",
    "{detector} is no name: small letters, digits and single underscores, at most {limit}, a"
    " letter first": (
        "{detector} 不是合法名称: 小写字母开头，只含小写字母、数字和单个下划线，最多 {limit} 个字符"
    ),
    "there is a detector called {detector} already: `witness detector list` names them all": (
        "已有名为 {detector} 的检测器：用 `witness detector list` 查看全部名称"
    ),
    "{path} exists already": "{path} 已存在",
    "{detector} failed at {at:.1f} s of the media: {reason}": (
        "{detector} 在媒体第 {at:.1f} 秒处出错: {reason}"
    ),
    "{detector} returned {type} in place of a list at {at:.1f} s of the media": (
        "{detector} 在媒体第 {at:.1f} 秒处返回了 {type}，应返回列表"
    ),
    "{detector} said a {type} at {at:.1f} s of the media, which is no finding": (
        "{detector} 在媒体第 {at:.1f} 秒处给出了 {type}，不是检测结果"
    ),
    "{detector} found {kind} at {at:.1f} s of the media, which its card does not have": (
        "{detector} 在媒体第 {at:.1f} 秒处给出了 {kind}，其说明卡中没有该类型"
    ),
    "{detector} said something at {at:.1f} s of the media that ends before it begins": (
        "{detector} 在媒体第 {at:.1f} 秒处给出的结果，结束时间早于开始时间"
    ),
    "{detector} can't say what it needs: {reason}": "{detector} 无法说明所需输入: {reason}",
    "{detector} can't be loaded: {reason}": "{detector} 无法加载: {reason}",
    "media {path} has neither picture nor sound": "媒体 {path} 既无画面也无声音",
    "what detectors cost, and how many participants a core can watch": (
        "检测器的开销，以及单核可监看的参与者数量"
    ),
    "video of one participant (default: made of a pinned package's)": (
        "某位参与者的视频（默认: 用固定软件包中的视频生成）"
    ),
    "of it (default: 60)": "取其秒数（默认: 60）",
    "10 s of it": "只取 10 秒",
    "{path} is no measurement of `witness bench analytics --costs`: {cause}": (
        "{path} 不是 `witness bench analytics --costs` 的测量结果：{cause}"
    ),
    "write what each detector costs alone, for its card (analytics.costs)": (
        "写出每个检测器单独的开销，供说明卡使用（analytics.costs）"
    ),
    "{count} watched participants on one core (target: {target})": (
        "单核可监看 {count} 位参与者（目标: {target}）"
    ),
    "decoding: {ms} ms for a second of one participant": "解码: 每位参与者每秒 {ms} 毫秒",
    "recognising speech, in its own thread: {ms} ms": "语音识别（独立线程）: {ms} 毫秒",
    "one core can't keep up with {count} participants": "单核跟不上 {count} 位参与者",
    "waiting at {count} participants: {p50} ms (median), {p95} ms (95 %), {max} ms": (
        "{count} 位参与者时的等待: 中位 {p50} 毫秒，95% {p95} 毫秒，最长 {max} 毫秒"
    ),
    "left out, its model is missing: {detector}": "因缺少模型而略过: {detector}",
}
