"""How one convolution is lowered, drawn as text and as a picture.

Both show the first patches as traditional im2row writes them out, and the reusable buffer for the first output columns:
the columns of the padded input that it holds, row after row, what is new in each step and what is reused. A cell is a
pixel with all channels of a group. What does not fit is cut off.
"""

from __future__ import annotations

from typing import NamedTuple

from .ops_report import FormReport, lowering_report
from .picture import CELL, COLOURS, FAINT, SMALL, Picture

STEPS = 3  # output columns that are drawn
MOST_ROWS, MOST_COLUMNS = 12, 12  # of the padded input
MOST_TAPS = 50  # of a patch
BUFFER_ENDS = 970  # where the longest buffer ends in a picture
PADDING = "#cfcfcf"


class Layer(NamedTuple):
    """A convolution of one image: sizes in pixels, (y, x) where there are two, pads (top, left, bottom, right)."""

    name: str
    size: tuple[int, int]
    channels: int
    columns: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    groups: int
    dtype: str

    @property
    def depth(self) -> int:
        """Channels of a group."""
        return self.channels // self.groups

    @property
    def window(self) -> tuple[int, int]:
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def output(self) -> tuple[int, int]:
        padded = (self.size[0] + self.pads[0] + self.pads[2], self.size[1] + self.pads[1] + self.pads[3])
        return tuple((p - w) // s + 1 for p, w, s in zip(padded, self.window, self.strides, strict=True))

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns of the padded input that windows touch."""
        return tuple((o - 1) * s + w for o, s, w in zip(self.output, self.strides, self.window, strict=True))

    @property
    def is_depthwise(self) -> bool:
        return self.groups > 1 and self.depth == 1

    @property
    def is_pointwise(self) -> bool:
        """Every pixel is its own patch, where it lies."""
        return self.kernel == (1, 1) and not any(self.pads)

    def report(self) -> list[FormReport]:
        return lowering_report(
            (1, self.channels, *self.size),
            (self.columns, self.depth, *self.kernel),
            self.strides,
            self.pads,
            self.dilations,
            self.groups,
            self.dtype,
        )


def place_of(layer: Layer, row: int, column: int) -> tuple[int, int] | None:
    """(y, x) in the input of a place in the padded one; None in the padding."""
    y, x = row - layer.pads[0], column - layer.pads[1]
    return (y, x) if 0 <= y < layer.size[0] and 0 <= x < layer.size[1] else None


def patches(layer: Layer) -> list[tuple[int, int, list[tuple[int, int] | None]]]:
    """The first patches: output row and column, and where the taps are, row by row."""
    (kh, kw), (dy, dx), (sy, sx) = layer.kernel, layer.dilations, layer.strides
    taps = [(ky * dy, kx * dx) for ky in range(kh) for kx in range(kw)][:MOST_TAPS]
    outputs = [divmod(index, layer.output[1]) for index in range(min(STEPS, layer.output[0] * layer.output[1]))]
    return [(y, x, [place_of(layer, y * sy + ky, x * sx + kx) for ky, kx in taps]) for y, x in outputs]


class Buffer:
    """The part of the reusable buffer that is drawn."""

    def __init__(self, layer: Layer):
        self.layer = layer
        self.held = layer.window[1]  # columns
        self.moved = layer.strides[1] if layer.strides[1] <= self.held else 0  # 0: nothing is shared
        self.steps = min(STEPS, layer.output[1])
        self.rows = min(MOST_ROWS, layer.reach[0])
        self.columns = min(MOST_COLUMNS, self.held)

    def first_column(self, step: int) -> int:
        """Of the padded input."""
        return step * self.layer.strides[1]

    def is_new(self, step: int, column: int) -> bool:
        """Whether this column of those held, counted from 0, is written in this step."""
        return step == 0 or not self.moved or column >= self.held - self.moved

    def written_pixels(self, step: int) -> int:
        return self.layer.reach[0] * (self.held if step == 0 or not self.moved else self.moved)


def describe(layer: Layer) -> list[str]:
    """Sizes, and what they mean for the product."""
    (height, width), (out_height, out_width), (kh, kw) = layer.size, layer.output, layer.kernel
    groups = f" in {layer.groups} groups" if layer.groups > 1 else ""
    lines = [
        f"input {height}x{width}x{layer.channels}, {layer.dtype}; padding {'x'.join(map(str, layer.pads))} (top, left, "
        "bottom, right)",
        f"kernel {kh}x{kw}, stride {layer.strides[0]}x{layer.strides[1]}, dilation {layer.dilations[0]}x"
        f"{layer.dilations[1]}; {layer.columns} outputs{groups}",
        f"output {out_height}x{out_width}x{layer.columns}: {out_height * out_width} patches of {kh * kw * layer.depth} "
        "elements each" + (", for every group" if groups else ""),
    ]
    if layer.is_depthwise:
        lines.append(
            "depthwise: networks run it by a kernel of its own, which slides over the rows; nothing is lowered"
        )
    elif layer.is_pointwise:
        lines.append("1x1: every pixel is its own patch where it lies; networks run it as it is, nothing is lowered")
    return lines


def text_patches(layer: Layer) -> list[str]:
    """The first rows of the traditional matrix; a number is a column of the input, a bar parts the kernel's rows."""
    (kh, kw), (out_height, out_width) = layer.kernel, layer.output
    digits = max(2, len(str(max(layer.size) - 1)))
    lines = []
    for y, x, places in patches(layer):
        words = [("." if place is None else str(place[1])).rjust(digits) for place in places]
        rows = [" ".join(words[first : first + kw]) for first in range(0, len(words), kw)]
        cut = " ..." if len(words) < kh * kw else ""
        lines.append(f"output {y},{x}  [{' |'.join(rows)}{cut}]")
    lines.append(f"and so on, {out_height * out_width} rows of {kh * kw * layer.depth} elements")
    lines.append("two_patch holds two of these rows at a time, and writes the next two over them")
    lines.append(f"mec writes a line like that of output column 0 below for each of {out_width} output columns")
    return lines


def text_picture(layer: Layer) -> list[str]:
    """The buffer in the first steps, side by side, and what happens between them."""
    buffer = Buffer(layer)
    digits = max(2, len(str(max(layer.size) - 1)))
    cells = [
        [[_cell(buffer, step, row, column, digits) for column in range(buffer.columns)] for row in range(buffer.rows)]
        for step in range(buffer.steps)
    ]
    cut = " ..." if buffer.columns < buffer.held else ""
    width = len("".join(cells[0][0])) + len(cut)
    heads = [f"output column {step}" for step in range(buffer.steps)]
    wide = max(width, *map(len, heads))
    lines = ["       " + "   ".join(head.ljust(wide) for head in heads).rstrip()]
    for row in range(buffer.rows):
        y = row - layer.pads[0]
        parts = ["".join(cells[step][row]) + cut for step in range(buffer.steps)]
        lines.append(f"row {y:3}" + "   ".join(part.ljust(wide) for part in parts).rstrip())
    if buffer.rows < layer.reach[0]:
        lines.append(f"...    and so on, {layer.reach[0]} rows")
    lines += ["", "a number is a column of the input, . is padding, [ ] is written in this step", *sentences(buffer)]
    return lines


def sentences(buffer: Buffer) -> list[str]:
    """What the drawings show, in words and numbers."""
    layer, (kh, kw), line = buffer.layer, buffer.layer.kernel, buffer.held * buffer.layer.depth
    lines = [
        f"elements of a cell: {layer.depth}, one for each channel" + (" of a group" if layer.groups > 1 else ""),
        f"rows follow one another in memory, each of {line} elements: a patch is {kh} of them"
        + (f", every {layer.dilations[0]} rows" if layer.dilations[0] > 1 else " on end"),
        f"one product for each output column: {layer.output[0]} rows, {layer.strides[0] * line} elements apart "
        f"(a patch has {kh * kw * layer.depth}), times weights [{kh * kw * layer.depth}, "
        f"{layer.columns // layer.groups}]",
    ]
    if buffer.moved:
        lines.append(
            f"then the base moves on by {layer.strides[1]} x {layer.depth} elements, and {buffer.written_pixels(1)} "
            f"pixels are written over the ones that have retired; {buffer.written_pixels(0)} were written at first"
        )
    else:
        lines.append(f"windows lie apart: every step writes {buffer.written_pixels(1)} pixels, and none is reused")
    return lines


def _cell(buffer: Buffer, step: int, row: int, column: int, digits: int) -> str:
    place = place_of(buffer.layer, row, buffer.first_column(step) + column)
    text = ("." if place is None else str(place[1])).rjust(digits)
    return f"[{text}]" if buffer.is_new(step, column) else f" {text} "


def svg_picture(layer: Layer) -> Picture:
    """The first patches; the padded input's corner and the buffer on end, step by step."""
    buffer = Buffer(layer)
    shown = min(MOST_COLUMNS, layer.reach[1])
    cells = buffer.rows * buffer.held + (buffer.steps - 1) * buffer.moved
    left = 60 + shown * 14
    cell = max(3.0, min(CELL, (BUFFER_ENDS - left) / cells))
    height = max(buffer.rows * 14, 70 + 24 * _patches(buffer)) + 56
    key = "a number is a column of the input, grey without one is padding; outlined cells are written in this step"
    if buffer.rows < layer.reach[0]:
        key += f"; {buffer.rows} of {layer.reach[0]} rows are drawn"
    head, foot = [layer.name, *describe(layer)], [key, *sentences(buffer)]
    rows = patches(layer)
    top = 100 + 20 * len(head) + SMALL * len(rows)
    picture = Picture()
    for index, words in enumerate(head):
        picture.text(20, 24 + 20 * index, words, 13)
    _draw_patches(picture, layer, rows, 40 + 20 * len(head))
    for step in range(buffer.steps):
        y = top + step * height
        written = buffer.written_pixels(step) * layer.depth
        picture.text(20, y - 6, f"output column {step}: {written} elements are written", 13)
        _draw_input(picture, buffer, step, 20, y + 6, shown)
        _draw_buffer(picture, buffer, step, (left, y + 30), cell)
    for index, words in enumerate(foot):
        picture.text(20, top + buffer.steps * height + 20 * index, words, 12)
    return picture


def _draw_patches(picture: Picture, layer: Layer, rows: list, y: float) -> None:
    count, depth = layer.output[0] * layer.output[1], layer.kernel[0] * layer.kernel[1] * layer.depth
    picture.text(20, y, f"im2row: {count} patches written out, each of {depth} elements", 13)
    for line, (_, _, places) in enumerate(rows):
        for index, place in enumerate(places):
            colour = PADDING if place is None else COLOURS[(place[1] + layer.pads[1]) % len(COLOURS)]
            at = 20 + index * SMALL + index // layer.kernel[1] * 2
            picture.cell(at, y + 10 + line * SMALL, "" if place is None else place[1], colour, SMALL)


def _patches(buffer: Buffer) -> int:
    """Output rows whose patches lie within the rows that are drawn."""
    layer = buffer.layer
    return min(4, (buffer.rows - layer.window[0]) // layer.strides[0] + 1) if buffer.rows >= layer.window[0] else 0


def _colour(buffer: Buffer, row: int, column: int) -> str:
    return PADDING if place_of(buffer.layer, row, column) is None else COLOURS[column % len(COLOURS)]


def _draw_input(picture: Picture, buffer: Buffer, step: int, x: float, y: float, shown: int) -> None:
    first = buffer.first_column(step)
    for row in range(buffer.rows):
        for column in range(shown):
            held = first <= column < first + buffer.held
            colour = _colour(buffer, row, column) if held else FAINT
            place = place_of(buffer.layer, row, column)
            text = "" if place is None else place[1]
            new = held and buffer.is_new(step, column - first)
            picture.cell(x + column * 14, y + row * 14, text, colour, 14, is_new=new)


def _draw_buffer(picture: Picture, buffer: Buffer, step: int, at: tuple[float, float], cell: float) -> None:
    x, y = at
    layer, base = buffer.layer, step * buffer.moved
    for index in range(base + buffer.rows * buffer.held):
        if index < base:
            picture.cell(x + index * cell, y, "", FAINT, cell)
            continue
        row, column = divmod(index - base, buffer.held)
        place = place_of(layer, row, buffer.first_column(step) + column)
        text = place[1] if place is not None and cell >= 12 else ""
        colour = _colour(buffer, row, buffer.first_column(step) + column)
        picture.cell(x + index * cell, y, text, colour, cell, is_new=buffer.is_new(step, column))
    picture.line(x + base * cell + 1, y - 20, x + base * cell + 1, y - 2, has_arrow=True)
    picture.text(x + base * cell + 7, y - 9, f"base + {base * layer.depth}", 12)
    for row in range(_patches(buffer)):
        begin = x + (base + row * layer.strides[0] * buffer.held) * cell
        end = begin + layer.window[0] * buffer.held * cell
        picture.bracket(begin, end, y + cell + 16 + row * 24, f"output row {row}")
