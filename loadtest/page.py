"""A page that shows what was measured, in Chinese and English.

It needs nothing but itself: plots are SVG in the page, the language is chosen without a script.
"""

import html

__all__ = ["both", "document"]

_STYLE = """
body { font: 15px/1.5 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  margin: 0 auto; max-width: 1240px; padding: 24px; color: #1c1c1a; background: #faf9f6; }
h1 { font-size: 24px; } h2 { font-size: 19px; margin-top: 2em; }
table { border-collapse: collapse; margin: .5em 0; font-variant-numeric: tabular-nums; }
figure { margin: 0; } figcaption { font-size: 13px; color: #444; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: #666; }
#zh { position: absolute; opacity: 0; } label { float: right; cursor: pointer; color: #1b5e8c; }
#zh:checked ~ main .en, #zh:checked ~ label .zh, #zh:not(:checked) ~ main .zh,
#zh:not(:checked) ~ label .en { display: none; }
#zh:focus-visible ~ label { outline: 2px solid; }
"""


def both(english: str, chinese: str) -> str:
    """A text in both languages, of which one is shown."""
    english, chinese = html.escape(english), html.escape(chinese)
    return f'<span class="en">{english}</span><span class="zh" lang="zh">{chinese}</span>'


def document(title: tuple[str, str], style: str, body: str) -> str:
    """The whole page, UTF-8.

    Args:
        title: English, Chinese; the heading, too.
        style: rules beside those every page has.
        body: what follows the heading.
    """
    english, chinese = (html.escape(text) for text in title)
    return (
        '<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{chinese} · {english}</title>\n<style>{_STYLE}{style}</style>\n"
        '</head>\n<body>\n<input type="checkbox" id="zh" checked>'
        '<label for="zh"><span class="zh">中文</span><span class="en">English</span></label>\n'
        f"<main>\n<h1>{both(*title)}</h1>\n{body}</main>\n</body>\n</html>\n"
    )
