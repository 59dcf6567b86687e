"""The figures of `benchmarks.lowering` as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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

    figure, axes = pyplot.subplots(figsize=(11, 5))
    forms = list(rows[0]["forms"])
    for number, form in enumerate(forms):
        heights = [row["forms"][form]["to_traditional"] for row in rows]
        places = [place + (number - len(forms) / 2) * 0.11 for place in range(len(rows))]
        axes.bar(places, heights, 0.11, label=form)
    axes.set_xticks(range(len(rows)), [row["layer"] for row in rows], rotation=30, ha="right")
    axes.set_ylabel("time / time of im2row")
    axes.set_ylim(0, 2.5)  # what lies higher is cut off
    axes.set_title(f"{title}, one thread")
    axes.legend(ncols=4)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def draw_buffers(path: Path, dtype: str, rows: list[dict[str, Any]]) -> None:
    from matplotlib import pyplot

    itemsize = 4 if dtype == "float32" else 1
    figure, axes = pyplot.subplots(figsize=(7, 5))
    for form in rows[0]["forms"]:
        points = [(row["input_elems"] * itemsize, row["forms"][form]["buffer_bytes"]) for row in rows]
        points = [point for point in sorted(points) if point[1]]
        if points:
            axes.plot(*zip(*points, strict=True), "o", label=form)
    sizes = sorted(row["input_elems"] * itemsize for row in rows)
    axes.plot(sizes, sizes, "k--", label="the input itself")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("bytes of the input")
    axes.set_ylabel("bytes of the buffer")
    axes.set_title(dtype)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
