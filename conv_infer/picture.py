"""Pictures of cells, words and lines, written as SVG: what docs/im2row.md and `conv-infer explain` are drawn with."""

from __future__ import annotations

from pathlib import Path

CELL, SMALL = 26, 20
COLOURS = ("#f2b8a0", "#f5d491", "#c9dd9a", "#9fd8c4", "#a5c8ec", "#cdb8e8")
FAINT, INK, MARK = "#eeeeee", "#333333", "#c0392b"


class Picture:
    """Cells, words and lines at places in pixels."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self.parts: list[str] = []

    def cell(self, x: float, y: float, text: object, colour: str, size: float = CELL, is_new: bool = False) -> None:
        edge = f'stroke="{MARK}" stroke-width="2.5"' if is_new else 'stroke="white"'
        self.parts.append(f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="{colour}" {edge}/>')
        self.text(x + size / 2, y + size * 0.68, text, size * 0.48, "middle")

    def text(self, x: float, y: float, text: object, size: float = 14, anchor: str = "start") -> None:
        words = str(text).replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size:.3g}" text-anchor="{anchor}" fill="{INK}">{words}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = INK, has_arrow: bool = False) -> None:
        arrow = ' marker-end="url(#arrow)"' if has_arrow else ""
        self.parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="1.5"{arrow}/>'
        )

    def bracket(self, x1: float, x2: float, y: float, text: str, colour: str = INK) -> None:
        self.line(x1 + 2, y, x2 - 2, y, colour)
        self.line(x1 + 2, y, x1 + 2, y - 5, colour)
        self.line(x2 - 2, y, x2 - 2, y - 5, colour)
        self.text(x2 + 6, y + 4, text, 12)

    def save(self, path: Path) -> None:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="sans-serif">'
        )
        arrow = (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>'
        )
        page = f'<rect width="{self.width}" height="{self.height}" fill="white"/>'
        path.write_text("\n".join([head, arrow, page, *self.parts, "</svg>"]) + "\n")
