"""Markdown: tables, pictures, and the one place where what a record says is escaped.

As on the HTML page, of what stands in a text only `**strong**` and `code` in backticks are markup.
"""

import re
from typing import Self
from urllib.parse import quote

from bench.errors import printable

CODE = re.compile(r"(`[^`]+`)")
MARKUP = re.compile(r"([\\`|<>\[\]])")


class Markdown(str):
    """Text that is Markdown already, its parts escaped; what is added to it is escaped, too."""

    __slots__ = ()

    def __add__(self, other: str) -> Self:
        return type(self)(str(self) + escape(other))


def escape(text: str) -> Markdown:
    """A text as Markdown that shows it on one line, and does nothing else."""
    if isinstance(text, Markdown):
        return text
    words, code = CODE.split(printable(text))[::2], CODE.findall(printable(text))
    parts = [MARKUP.sub(r"\\\1", part) for part in words]
    codes = [part.replace("|", "\\|") for part in code] + [""]
    return Markdown("".join(word + span for word, span in zip(parts, codes, strict=True)))


def image(alt: str, path: str) -> Markdown:
    """A picture below the page; a path with characters of its own in it becomes one that a browser reads back."""
    return Markdown(f"![{escape(alt)}]({quote(printable(path))})")


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table with a line of column names."""
    lines = [header, [":---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(escape(cell) for cell in line) + " |" for line in lines)
