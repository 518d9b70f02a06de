"""Chinese for the evaluation of detectors."""

ANALYTICS: dict[str, str] = {
    # Commands.
    "how right detectors are: clips, eval": "检测器的准确程度：制作片段、评测",
    "make labelled clips": "制作带标注的片段",
    "Makes clips in which something happens, or nothing, through real codecs at several"
    " bit rates and losses, each with a label of what is true. Pictures come out of pinned"
    " packages and are installed first; the same seed makes the same clips.": (
        "制作有事件或无事件的片段，经过真实编解码器、多种码率和丢包，每个片段附有真值标注。"
        "图片取自固定版本的软件包，会先行安装；同一种子得到同样的片段。"
    ),
    "four clips for a first look, no figures to quote": "只做四个片段，先看一眼，数字不可引用",
    "MINUTES": "分钟",
    "time in which nothing happens, for false alarms (default: 60; of speech: 0)": (
        "无事件的时长，用于统计误报（默认: 60；语音: 0）"
    ),
    "only clips of this story; may be given again": "只做此情节的片段；可重复给出",
    "speech only over this channel; may be given again": "语音只经过此信道；可重复给出",
    "no story {unknown}; there are: {known}": "没有情节 {unknown}；可选: {known}",
    "no channel {unknown}; there are: {known}": "没有信道 {unknown}；可选: {known}",
    "{path} lists no sentences talk01, talk02, … to talk with": (
        "{path} 未列出可用于交谈的句子 talk01、talk02……"
    ),
    "{path} lists no {names}, of which it has other forms": (
        "{path} 未列出 {names}，却列出了它们的其他说法"
    ),
    "makes other clips": "改变片段的种子",
    "clips of what is said instead, of the sentences in this directory": (
        "改为制作语音片段，由该目录中的句子组成"
    ),
    "sound {path} can't be opened: {cause}": "无法打开声音 {path}：{cause}",
    "{path} lists no sentences: {cause}": "{path} 未列出句子：{cause}",
    "pictures of more people, one directory for each person": "更多人物的照片，每人一个目录",
    "take the packages of pictures from this directory": "从此目录读取图片软件包",
    "compare what detectors find with what is true": "比较检测结果与真值",
    "Runs detectors over labelled clips and gives recall, precision, delay and false"
    " alarms per hour, with a page of timelines and pictures of what went wrong.": (
        "在带标注的片段上运行检测器，给出召回率、精确率、延迟和每小时误报，"
        "并生成带时间线和出错画面的页面。"
    ),
    "labelled clips": "带标注的片段",
    "only this detector; may be given again (default: all that the labels are about)": (
        "只运行此检测器；可重复给出（默认: 标注涉及的全部）"
    ),
    "YAML file with settings of detectors, by name": "检测器设置的 YAML 文件，按名称",
    "page to write (default: report.html beside the clips)": (
        "要写出的页面（默认: 片段目录中的 report.html）"
    ),
    "code 1 when a target is not reached": "未达到目标时退出码为 1",
    "processes (default: 1)": "进程数（默认: 1）",
    # What is said.
    "{count} clips of {minutes} minutes in {directory}": (
        "{directory} 中有 {count} 个片段，共 {minutes} 分钟"
    ),
    "report: {path}": "报告: {path}",
    "kind": "类别",
    "found": "发现",
    "recall": "召回率",
    "precision": "精确率",
    "delay, s": "延迟（秒）",
    "false per hour": "每小时误报",
    "{path} has to name detectors": "{path} 应以检测器名称为键",
    # Errors.
    "label {path} can't be read: {cause}": "无法读取标注 {path}: {cause}",
    "label {path} has more than {limit} bytes": "标注 {path} 超过 {limit} 字节",
    "label {path}: {where}: {cause}": "标注 {path}: {where}: {cause}",
    "no *{suffix} below {path}; `witness analytics clips` makes some": (
        "{path} 下没有 *{suffix}；可用 `witness analytics clips` 制作"
    ),
    "no {what} in {folder}; `witness analytics clips` installs it where there is a network": (
        "{folder} 中没有 {what}；在有网络的机器上 `witness analytics clips` 会安装"
    ),
    "picture {path} can't be read: {cause}": "无法读取图片 {path}: {cause}",
    "clips need pictures of two people, there are {count}": (
        "制作片段需要两个人的照片，现有 {count}"
    ),
    "{path}: {name} must be a section with keys": "{path}: {name} 必须是包含若干键的一节",
    "clip {clip}: no detector that is installed says {kind}": (
        "片段 {clip}: 已安装的检测器都不会给出 {kind}"
    ),
    "the media of clip {clip} end after {seen:.1f} s, its label after {length:.1f} s": (
        "片段 {clip} 的媒体在 {seen:.1f} 秒结束，标注却到 {length:.1f} 秒"
    ),
    "media {path} can't be opened: {cause}": "无法打开媒体 {path}: {cause}",
    "media {path} has no {kind}": "媒体 {path} 中没有 {kind}",
    "model {name} in {path} is no network that can be run: {cause}": (
        "{path} 中的模型 {name} 不是可运行的网络: {cause}"
    ),
    "model {name} has no output {output}": "模型 {name} 没有输出 {output}",
    "model {name}: {what} has shape {found}, not {wanted}": (
        "模型 {name}: {what} 的形状为 {found}，应为 {wanted}"
    ),
    "model {name} has no output of {cells} by {size}": "模型 {name} 没有 {cells} × {size} 的输出",
    "model {name} has no output of {size} numbers": "模型 {name} 没有 {size} 个数的输出",
    # The host of detectors.
    "the package redis is not installed": "未安装 redis 软件包",
    "another host has taken this one's place": "另一个检测主机已接替本主机",
    "a picture has no points of a face: it can't be moved": "画面中没有人脸特征点，无法使其动作",
    "the client for Redis can't use this URL": "Redis 客户端无法使用该地址",
    "the URL of Redis must begin with redis://, rediss:// or unix://": (
        "Redis 地址必须以 redis://、rediss:// 或 unix:// 开头"
    ),
    "{name} can't be imported: {reason}": "无法导入 {name}: {reason}",
    "{name}: {where}: {reason}": "{name}: {where}: {reason}",
}
