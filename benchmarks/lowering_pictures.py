"""The figures of `benchmarks.lowering` as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MOST = 2.5  # times im2row's; what takes longer is cut off, its number written on it
MARKS = {"im2row": "s", "two_patch": "v", "mec": "D", "reusable": "o", "reusable_rows": "+", "indirect": "x"}


def draw(folder: Path, results: dict[str, list[dict[str, Any]]]) -> None:
    """Times relative to the traditional form, a picture for each dtype and instruction set; and buffers against the
    input's size, for each dtype."""
    import matplotlib

    matplotlib.use("svg")
    folder.mkdir(parents=True, exist_ok=True)
    by_dtype = {}
    for title, rows in results.items():
        draw_times(folder / f"lowering_time_{title.replace(', ', '_')}.svg", title, rows)
        by_dtype.setdefault(rows[0]["dtype"], rows)
    for dtype, rows in by_dtype.items():
        draw_buffers(folder / f"lowering_memory_{dtype}.svg", dtype, rows)


def draw_times(path: Path, title: str, rows: list[dict[str, Any]]) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(12, 5))
    forms = list(rows[0]["forms"])
    for number, form in enumerate(forms):
        heights = [row["forms"][form]["to_traditional"] for row in rows]
        places = [place + (number - len(forms) / 2) * 0.11 for place in range(len(rows))]
        axes.bar(places, heights, 0.11, label=form)
        for place, height in zip(places, heights, strict=True):
            if height > MOST:
                axes.text(place, MOST - 0.05, f"{height:.1f}", rotation=90, ha="center", va="top", size=7)
    axes.set_xticks(range(len(rows)), [row["layer"] for row in rows], rotation=30, ha="right")
    axes.set_ylabel("time / time of im2row")
    axes.set_ylim(0, MOST)
    axes.set_title(f"{title}, one thread")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def draw_buffers(path: Path, dtype: str, rows: list[dict[str, Any]]) -> None:
    from matplotlib import pyplot

    itemsize = 4 if dtype == "float32" else 1
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for form in rows[0]["forms"]:
        points = [(row["input_elems"] * itemsize, row["forms"][form]["buffer_bytes"]) for row in rows]
        points = [point for point in sorted(points) if point[1]]
        if points:
            hollow = {"markerfacecolor": "none"} if form == "reusable" else {}  # both directions may coincide
            size = 11 if form in ("reusable", "reusable_rows") else 6
            axes.plot(*zip(*points, strict=True), MARKS[form], markersize=size, label=form, **hollow)
    sizes = sorted(row["input_elems"] * itemsize for row in rows)
    axes.plot(sizes, sizes, "k--", label="the input itself")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("bytes of the input")
    axes.set_ylabel("bytes of the buffer")
    axes.set_title(dtype)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
