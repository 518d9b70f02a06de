"""Chinese for composing recorded sessions."""

COMPOSE: dict[str, str] = {
    # Command.
    "make files people can play of a recorded session": "把录制的会话制成可播放的文件",
    "Writes every track as it was captured (WebM, Matroska) and a film of all of them (MP4) with"
    " names, roles, time and nodes, chapters, and subtitles where there is a transcript. What is"
    " missing is shown as a slate. The film is for viewing; evidence is what `witness seal`"
    " makes.": (
        "按采集原样写出每条轨道（WebM、Matroska），并合成一部影片（MP4）：带姓名、角色、时间"
        "和环节，有章节；有文字记录时带字幕。缺失部分以提示画面标明。影片仅供查看，"
        "证据由 `witness seal` 制作。"
    ),
    "DIRECTORY": "目录",
    "where the files go (default: the session's id with -files, here)": (
        "输出目录（默认为当前目录下的“会话编号-files”）"
    ),
    "arrangement of the pictures (default: side-by-side)": "画面布局（默认 side-by-side）",
    "language of what is written into the film (default: that of the environment)": (
        "影片中文字的语言（默认按环境）"
    ),
    "ZONE": "时区",
    "time zone of the clock in the film, Asia/Shanghai (default: this machine's)": (
        "影片中时钟的时区，如 Asia/Shanghai（默认为本机时区）"
    ),
    "font of what is written into the film": "影片中文字所用的字体文件",
    "TEXT": "文字",
    "text over every picture (default: that the film is derived)": (
        "覆盖在每个画面上的水印（默认说明影片由录制合成）"
    ),
    "leave out the files of single tracks": "不写出各轨道的文件",
    # What it says.
    "reading the packets": "读取数据包",
    "writing the tracks": "写出轨道",
    "rendering the film": "合成影片",
    "film: {path}, {seconds:.0f} s, {factor:.1f} × real time": (
        "影片：{path}，{seconds:.0f} 秒，{factor:.1f} 倍实时速度"
    ),
    "  no picture of {name} for {seconds:.1f} s": "  {name} 无画面 {seconds:.1f} 秒",
    "  sound of {name} is missing for {seconds:.1f} s": "  {name} 缺失声音 {seconds:.1f} 秒",
    "track {track}: nothing that can be played": "轨道 {track}：没有可播放的内容",
    "track {track}: {path}, {frames} frames, {seconds:.1f} s missing": (
        "轨道 {track}：{path}，{frames} 帧，缺失 {seconds:.1f} 秒"
    ),
    # Errors.
    "there is no time zone {name}": "没有时区 {name}",
    "--watermark has {length} characters: at most {limit}": (
        "--watermark 有 {length} 个字符，最多 {limit} 个"
    ),
    "the first picture of track {track} can't be decoded: {reason}": (
        "轨道 {track} 的第一幅画面无法解码：{reason}"
    ),
    "nothing was recorded in session {session}": "会话 {session} 没有录到任何内容",
    "there is no font file {path}": "字体文件 {path} 不存在",
    "{path} is no font that can be used": "{path} 不是可用的字体",
    "the font {path} lacks {characters}; name another one": (
        "字体 {path} 缺少字符 {characters}；请另选字体"
    ),
    "no font on this machine has {characters}; install a font with Chinese (Debian:"
    " fonts-noto-cjk) or name a file with --font": (
        "本机没有包含 {characters} 的字体；请安装中文字体（Debian：fonts-noto-cjk），"
        "或用 --font 指定字体文件"
    ),
    "{path} is no capture file": "{path} 不是采集文件",
    "{path} is damaged at byte {at}": "{path} 在第 {at} 字节处损坏",
    "{path} is not there": "{path} 不存在",
    "damaged: {reason}; {seconds:.1f} s of track {track} can't be shown": (
        "损坏：{reason}；轨道 {track} 有 {seconds:.1f} 秒无法显示"
    ),
    "{path} does not describe a track": "{path} 没有描述一条轨道",
    "track {track} is of the codec {codec}, which can't be played": (
        "轨道 {track} 的编码 {codec} 无法播放"
    ),
    "line {line} of {path} is no line of a transcript": "{path} 第 {line} 行不是文字记录",
    # Measurement.
    "how fast a recorded call of three becomes a film": "三方通话录制合成影片的速度",
    "length of the call (default: 120)": "通话时长（秒，默认 120）",
    "a call of 30 s": "30 秒的通话",
    "--seconds must be 2 to 3600": "--seconds 必须在 2 到 3600 之间",
    "encoding a call": "编码一次通话",
    "first pass over the packets": "首次读取数据包",
    "composing": "合成",
    "remuxing": "重新封装",
    "{count} participants of {width} × {height}, {seconds:.0f} s of call": (
        "{count} 名参与者，{width} × {height}，通话 {seconds:.0f} 秒"
    ),
    "composition: {factor:.1f} × real time ({seconds:.1f} s, {cpu:.1f} s of CPU)": (
        "合成：{factor:.1f} 倍实时速度（{seconds:.1f} 秒，CPU {cpu:.1f} 秒）"
    ),
    "CPU by stage: {stages}": "各阶段 CPU：{stages}",
    "remuxing: {factor:.0f} × real time ({seconds:.1f} s)": (
        "重新封装：{factor:.0f} 倍实时速度（{seconds:.1f} 秒）"
    ),
}
