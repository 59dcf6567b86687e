"""Draws the pictures of im2row.md: `python docs/draw_im2row.py` writes docs/im2row/*.svg.

All show the same example: one channel, an input of 6 rows and 6 columns, a 3x3 kernel, stride 1. Numbers are the places
of the input, counted row by row; colours are its columns.
"""

from __future__ import annotations

from pathlib import Path

from conv_infer.picture import CELL, COLOURS, FAINT, SMALL, Picture

SIZE, KERNEL = 6, 3
OUTPUTS = SIZE - KERNEL + 1


def draw_input(picture: Picture, x: float, y: float, columns: range = range(SIZE), new: range = range(0)) -> None:
    """The input; columns that are not of interest are faint, new ones outlined."""
    for row in range(SIZE):
        for column in range(SIZE):
            colour = COLOURS[column] if column in columns else FAINT
            picture.cell(x + column * CELL, y + row * CELL, row * SIZE + column, colour, is_new=column in new)


def patch(row: int, column: int) -> list[int]:
    return [(row + i) * SIZE + column + j for i in range(KERNEL) for j in range(KERNEL)]


def draw_patches(picture: Picture, x: float, y: float, places: list[tuple[int, int]]) -> None:
    for line, (row, column) in enumerate(places):
        for index, place in enumerate(patch(row, column)):
            picture.cell(x + index * SMALL, y + line * SMALL, place, COLOURS[place % SIZE], SMALL)


def traditional() -> Picture:
    picture = Picture()
    picture.text(20, 24, "input, 36 elements")
    draw_input(picture, 20, 36)
    picture.line(190, 114, 262, 114, has_arrow=True)
    picture.text(275, 24, "a row for each of 16 outputs: 144 elements")
    draw_patches(picture, 275, 36, [(row, column) for row in range(OUTPUTS) for column in range(OUTPUTS)])
    return picture


def two_patch() -> Picture:
    picture = Picture()
    picture.text(20, 24, "input")
    draw_input(picture, 20, 36)
    picture.line(190, 76, 262, 56, has_arrow=True)
    picture.text(275, 24, "two patches, 18 elements, then a product")
    draw_patches(picture, 275, 36, [(0, 0), (0, 1)])
    picture.text(275, 108, "the next two over them, and so on: 8 times")
    draw_patches(picture, 275, 120, [(0, 2), (0, 3)])
    picture.text(275, 190, "144 elements are copied as before,")
    picture.text(275, 208, "but memory holds 18 at a time")
    return picture


def mec() -> Picture:
    picture = Picture()
    picture.text(20, 24, "input")
    draw_input(picture, 20, 36)
    picture.line(190, 114, 232, 114, has_arrow=True)
    picture.text(245, 24, "a line for each output column: 3 columns of the input, row after row; 72 elements")
    for line in range(OUTPUTS):
        for index in range(SIZE * KERNEL):
            place = index // KERNEL * SIZE + line + index % KERNEL
            picture.cell(245 + index * SMALL, 36 + line * SMALL, place, COLOURS[place % SIZE], SMALL)
    for row in range(OUTPUTS):
        begin = 245 + row * KERNEL * SMALL
        picture.bracket(begin, begin + KERNEL * KERNEL * SMALL, 134 + row * 24, f"output row {row}: its 4 patches")
    return picture


def draw_buffer(picture: Picture, x: float, y: float, step: int) -> None:
    """The buffer after `step` steps: what has retired is faint, what is new outlined."""
    for index in range(SIZE * KERNEL + OUTPUTS - 1):
        offset = index - step
        if not 0 <= offset < SIZE * KERNEL:
            picture.cell(x + index * CELL, y, "", FAINT)
            continue
        column = step + offset % KERNEL
        is_new = step == 0 or offset % KERNEL == KERNEL - 1
        picture.cell(x + index * CELL, y, offset // KERNEL * SIZE + column, COLOURS[column], is_new=is_new)
    base = x + step * CELL
    picture.line(base + 1, y - 20, base + 1, y - 2, has_arrow=True)
    picture.text(base + 7, y - 9, "base", 12)


def reusable() -> Picture:
    picture = Picture()
    texts = (
        "output column 0: three columns are copied, 18 elements",
        "output column 1: the base moves by one; column 3 is written where column 0 was, 6 elements",
        "output column 2: 6 more; the last row runs past the old end, where 3 places were left for it",
    )
    picture.cell(20, 14, "", COLOURS[0], SMALL, is_new=True)
    picture.text(48, 29, "copied in this step", 12)
    picture.cell(190, 14, "", COLOURS[0], SMALL)
    picture.text(218, 29, "there already, used again", 12)
    picture.cell(400, 14, "", FAINT, SMALL)
    picture.text(428, 29, "not in use", 12)
    for step, text in enumerate(texts):
        y = 74 + step * 225
        picture.text(20, y - 8, text)
        draw_input(picture, 20, y + 6, range(step, step + KERNEL), range(step + (2 if step else 0), step + KERNEL))
        draw_buffer(picture, 200, y + 36, step)
        for row in range(OUTPUTS):
            begin = 200 + (step + row * KERNEL) * CELL
            picture.bracket(begin, begin + KERNEL * KERNEL * CELL, y + 78 + row * 24, f"output row {row}")
    return picture


def product() -> Picture:
    picture = Picture()
    picture.text(20, 24, "four rows of one buffer, 3 elements apart: a matrix that is nowhere written out")
    for row in range(OUTPUTS):
        for index, place in enumerate(patch(row, 0)):
            x, y = 60 + (row * KERNEL + index) * CELL, 44 + row * (CELL + 6)
            picture.cell(x, y, place, COLOURS[place % SIZE])
        picture.text(52, 62 + row * (CELL + 6), f"{row * KERNEL}", 12, "end")
    picture.text(20, 196, "row m begins at base + m * lda, where lda = stride * kernel width * channels:")
    picture.text(20, 214, "here 3, while a row has 9 elements, so that rows overlap")
    picture.text(20, 232, "times the weights [9, outputs] it gives a whole column of the output")
    return picture


def grouped() -> Picture:
    """Two groups of three channels, a 1x1 kernel, four outputs."""
    picture = Picture()
    shades = (COLOURS[0], COLOURS[4])
    picture.text(20, 24, "pixels")
    picture.text(20, 42, "(or patches)", 12)
    picture.text(246, 24, "weights")
    picture.text(246, 42, "grey: not there, never multiplied", 12)
    picture.text(420, 24, "output")
    for pixel in range(4):
        for channel in range(6):
            name = "ab"[channel // 3] + str(channel % 3)
            picture.cell(20 + channel * CELL, 80 + pixel * CELL, name, shades[channel // 3])
        for column in range(4):
            name = "AB"[column // 2] + str(column % 2)
            picture.cell(420 + column * CELL, 80 + pixel * CELL, name, shades[column // 2])
    picture.text(212, 138, "x", 16, "middle")
    for channel in range(6):
        for column in range(4):
            own = channel // 3 == column // 2
            picture.cell(246 + column * CELL, 54 + channel * CELL, "", shades[channel // 3] if own else FAINT)
    picture.text(385, 138, "=", 16, "middle")
    picture.bracket(20, 20 + 3 * CELL, 204, "")
    picture.bracket(20 + 3 * CELL, 20 + 6 * CELL, 204, "")
    picture.text(20, 240, "one product for each group: its part of every pixel, from channel 0 or channel 3 on,")
    picture.text(20, 258, "times its own weights, into its own part of the output")
    return picture


def shuffle() -> Picture:
    picture = Picture()
    names = ("a0", "a1", "a2", "b0", "b1", "b2")
    colours = (COLOURS[0],) * 3 + (COLOURS[4],) * 3
    picture.text(20, 24, "two groups: each sees only its own channels")
    for at, (name, colour) in enumerate(zip(names, colours, strict=True)):
        picture.cell(60 + at * 60, 40, name, colour)
    order = [group * 3 + channel for channel in range(3) for group in range(2)]
    for at, source in enumerate(order):
        picture.cell(60 + at * 60, 136, names[source], colours[source])
        picture.line(73 + source * 60, 67, 73 + at * 60, 134, "#999999")
    picture.bracket(60, 206, 174, "")
    picture.bracket(240, 386, 174, "")
    picture.text(20, 200, "[groups, channels] has become [channels, groups]")
    picture.text(20, 218, "the next grouped convolution reads these three, and those three: both groups in each")
    return picture


PICTURES = {
    "traditional": traditional,
    "two_patch": two_patch,
    "mec": mec,
    "reusable": reusable,
    "product": product,
    "grouped": grouped,
    "shuffle": shuffle,
}


def draw(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        picture().save(folder / f"{name}.svg")


if __name__ == "__main__":
    draw(Path(__file__).parent / "im2row")
