"""What the figures of an evaluation don't show, said with them."""

from collections.abc import Iterable
from typing import Final

from analytics.detector import Text
from analytics.eval.labels import Clip

__all__ = ["PICTURES", "SOUND", "limits_of"]

PICTURES: Final = (
    Text(
        zh="人物是从少量照片中剪出的头像，配上画出的肩膀，由程序在画出的房间前移动；只有一段真人说话的"
        "视频。他们不会像真人那样说话和做手势；转头、闭眼、张嘴只出现在活体提示的片段中，由照片变形而成。",
        en="The people are heads cut out of a few photos, with drawn shoulders, moved by a program "
        "before a drawn room; one video shows a real man talking. They don't speak or gesture as "
        "people do; heads turn, eyes close and mouths open in challenges only, by bending the "
        "photo.",
    ),
    Text(
        zh="证件照与现场的脸出自同一张照片，只是变淡、变模糊；出现在两路画面中的同一个人也是如此。"
        "真实情况要难得多。",
        en="The document's photo is the photo of the live face, paler and blurred, and so is one "
        "person on two cameras. Real ones are much harder.",
    ),
    Text(
        zh="手机、口罩和手臂是画出来的；画上的手机下端朝外，真实的手机下端多朝向嘴。真实手机能发现多少并不知道。",
        en="Phones, masks and arms are drawn, and the phones' lower ends lean away from the mouth, "
        "as real ones rarely do. How many real phones would be found is not known.",
    ),
    Text(
        zh="只有二十来个人，多为年轻女性，光线种类少；无法说明数字随年龄、性别、肤色如何变化。",
        en="Some twenty people, most of them young women, in few lights; nothing here says how "
        "the figures differ with age, sex or skin.",
    ),
    Text(
        zh="同一个人在不同日子拍的照片很少，几乎没有检验随时间变化的相似度。",
        en="Hardly any pictures of one person from different days: likeness over time is hardly "
        "tried.",
    ),
    Text(
        zh="误报是在同一批人的不同动作、光线、噪声和信道上统计的：若干小时的片段不等于若干小时的通话。",
        en="False alarms are counted on the same people again with other movement, light, noise "
        "and channel: hours of clips are not hours of calls.",
    ),
    Text(
        zh="没有人试图欺骗检测器：没有翻拍视频，也没有换脸软件。",
        en="Nobody tried to deceive the detectors: no replayed video, no face-swapping software.",
    ),
)
"""Of clips with pictures."""

SOUND: Final[tuple[Text, ...]] = ()
"""Of clips with sound."""


def limits_of(clips: Iterable[Clip]) -> tuple[Text, ...]:
    """What has to be said with the figures of these clips."""
    kinds = {track.kind for clip in clips for track in clip.tracks}
    pictures = PICTURES if "video" in kinds else ()
    return pictures + (SOUND if "audio" in kinds else ())
