"""A report in one file: a page of HTML that contains its tables and pictures."""

import dataclasses
import html
import io
import pathlib
from collections.abc import Callable

from aa_keras.explain.embedding import png_uri, policy

STYLE = """
:root { color-scheme: light dark; --page: #fbfbfd; --panel: #fff; --text: #1b1b22; --dim: #5c5c6b; --line: #d9d9e3; }
@media (prefers-color-scheme: dark) {
  :root { --page: #121217; --panel: #1c1c23; --text: #f0f0f5; --dim: #a9a9b8; --line: #3a3a46; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 1rem; background: var(--page); color: var(--text);
  font: 16px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 0.5rem; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 0.9rem;
  margin: 1rem 0; overflow-x: auto; }
p { margin: 0.3rem 0; }
.dim { color: var(--dim); }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { text-align: left; padding: 0.25rem 0.9rem 0.25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
img { display: block; max-width: 100%; height: auto; margin: 0.5rem 0; border-radius: 6px; background: #fff; }
summary { cursor: pointer; font-weight: 600; }
"""


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: its heading.
        text: its text, or "".
        table: rows of text, the first one being the header; () for none.
        pictures: pairs of a PNG, its path or its bytes, and a description.
        is_folded: whether a click opens the table.
    """

    title: str
    text: str = ""
    table: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[tuple[pathlib.Path | bytes, str], ...] = ()
    is_folded: bool = False


def picture(draw: Callable) -> bytes:
    """Returns the PNG that a function of a path writes into the path."""
    buffer = io.BytesIO()
    draw(buffer)
    return buffer.getvalue()


def page(title: str, subtitle: str, sections: list[Section]) -> str:
    """Returns a report as HTML."""
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(STYLE)}">',
            f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f'<h1>{html.escape(title)}</h1>\n<p class="dim">{html.escape(subtitle)}</p>',
            *map(_section, sections),
            "</body>\n</html>\n",
        ]
    )


def _section(section):
    parts = [f"<section>\n<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.table:
        table = _table(section.table)
        parts.append(f"<details><summary>As a table</summary>\n{table}\n</details>" if section.is_folded else table)
    for image, description in section.pictures:
        content = image if isinstance(image, bytes) else image.read_bytes()
        parts.append(f'<img src="{png_uri(content)}" alt="{html.escape(description)}">')
    return "\n".join([*parts, "</section>"])


def _table(rows):
    lines = []
    for number, row in enumerate(rows):
        kind = "td" if number else "th"
        lines.append("<tr>" + "".join(f"<{kind}>{html.escape(cell.strip('`'))}</{kind}>" for cell in row) + "</tr>")
    return "\n".join(["<table>", *lines, "</table>"])
