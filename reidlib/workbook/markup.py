"""Markdown and code as HTML: equations as pictures, links between notebooks as links to pages."""

from __future__ import annotations

import html
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

from reidlib.errors import ReidError


def heading(path: Path) -> str:
    match = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.M)
    if not match:
        raise ReidError(f"{path.name} has no title: begin it with a line such as # A title")
    return re.split("[:,]", match[1])[0]


def markdown(text: str) -> str:
    """Markdown as HTML: tables in a box that scrolls, equations as pictures with their source."""
    return _renderer()(text)


@cache
def _renderer() -> Any:
    import mistune

    renderer = mistune.HTMLRenderer(escape=False)
    render = mistune.create_markdown(renderer=renderer, plugins=["table", "math", "strikethrough"])
    table = renderer._get_method("table")
    renderer.register("table", lambda _, text: f'<div class="plain">{table(text)}</div>\n')
    renderer.register("inline_math", lambda _, text: _equation(text, inline=True))
    renderer.register("block_math", lambda _, text: _equation(text, inline=False))
    return render


def _equation(tex: str, *, inline: bool) -> str:
    """An equation as an embedded SVG, its TeX as alternative text; as code if it is too much for
    matplotlib's mathematics."""
    import base64

    from matplotlib import mathtext
    from matplotlib.font_manager import FontProperties

    source = " ".join(tex.split())
    tag = "span" if inline else "div"
    try:
        buffer = io.BytesIO()
        size = FontProperties(size=11 if inline else 14)
        mathtext.math_to_image(f"${source}$", buffer, prop=size, format="svg", dpi=100)
        picture = base64.b64encode(buffer.getvalue()).decode()
    except ValueError:
        return f'<{tag} class="math"><code>{html.escape(source)}</code></{tag}>'
    shown = f'<img src="data:image/svg+xml;base64,{picture}" alt="{html.escape(source)}">'
    return f'<{tag} class="math">{shown}</{tag}>'


def local(text: str, known: set[str]) -> str:
    """Links between notebooks and documents lead to their pages; a link to a file that has no page
    stays as its text."""

    def follow(match: re.Match[str]) -> str:
        target, words = match[1], match[2]
        if re.match(r"https?://|#|mailto:", target):
            return match[0]
        name, _, anchor = target.partition("#")
        stem = Path(name).stem.replace("90_summary", "summary")
        if name.endswith((".ipynb", ".md")) and f"{stem}.html" in known:
            return f'<a href="{stem}.html{f"#{anchor}" if anchor else ""}">{words}</a>'
        return words

    text = re.sub(r'<a href="([^"]*)"[^>]*>(.*?)</a>', follow, text, flags=re.S)
    return re.sub(r'src="[^":]*figures/study/([^"]+)"', r'src="figures/\1"', text)


def code(source: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(highlight(source, PythonLexer(), HtmlFormatter(cssclass="source")))
