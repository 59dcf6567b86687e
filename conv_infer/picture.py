"""Pictures of cells, words and lines, written as SVG: what docs/im2row.md and `conv-infer explain` are drawn with."""

from __future__ import annotations

from pathlib import Path

CELL, SMALL = 26, 20
COLOURS = ("#f2b8a0", "#f5d491", "#c9dd9a", "#9fd8c4", "#a5c8ec", "#cdb8e8")
FAINT, INK, MARK = "#eeeeee", "#333333", "#c0392b"
MARGIN = 20
LETTER = 0.62  # width of a letter to its size, in the widest of the usual fonts


class Picture:
    """Cells, words and lines at places in pixels. It is as large as what has been drawn, and a margin."""

    def __init__(self) -> None:
        self.width = self.height = 0.0
        self.parts: list[str] = []
        self.marks: list[str] = []  # drawn last, over neighbouring cells

    def cell(self, x: float, y: float, text: object, colour: str, size: float = CELL, is_new: bool = False) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" fill="{colour}" stroke="white"/>'
        )
        if is_new:
            inner = f'x="{x + 1:g}" y="{y + 1:g}" width="{size - 2:g}" height="{size - 2:g}"'
            self.marks.append(f'<rect {inner} fill="none" stroke="{MARK}" stroke-width="2"/>')
        self._reach(x + size, y + size)
        if text != "":
            self.text(x + size / 2, y + size * 0.68, text, size * 0.48, "middle")

    def text(self, x: float, y: float, text: object, size: float = 14, anchor: str = "start") -> None:
        words = str(text).replace("&", "&amp;").replace("<", "&lt;")
        right = {"start": 1.0, "middle": 0.5, "end": 0.0}[anchor] * len(str(text)) * size * LETTER
        self._reach(x + right, y + size / 4)
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:.3g}" text-anchor="{anchor}" fill="{INK}">{words}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = INK, has_arrow: bool = False) -> None:
        arrow = ' marker-end="url(#arrow)"' if has_arrow else ""
        self._reach(max(x1, x2), max(y1, y2))
        self.parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-width="1.5"{arrow}/>'
        )

    def bracket(self, x1: float, x2: float, y: float, text: str, colour: str = INK) -> None:
        self.line(x1 + 2, y, x2 - 2, y, colour)
        self.line(x1 + 2, y, x1 + 2, y - 5, colour)
        self.line(x2 - 2, y, x2 - 2, y - 5, colour)
        if text:
            self.text(x2 + 6, y + 4, text, 12)

    def save(self, path: Path) -> None:
        width, height = round(self.width + MARGIN), round(self.height + MARGIN)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="sans-serif">'
        )
        arrow = (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>'
        )
        page = f'<rect width="{width}" height="{height}" fill="white"/>'
        path.write_text("\n".join([head, arrow, page, *self.parts, *self.marks, "</svg>"]) + "\n")

    def _reach(self, x: float, y: float) -> None:
        self.width, self.height = max(self.width, x), max(self.height, y)
