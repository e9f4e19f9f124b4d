"""Pages, and pages -> one self-contained HTML file that needs no network, reads on a phone, in the dark and in print.

A `Page` is a title and blocks. What goes on a page is composed in the files beside this one; the look is in
`report.html.jinja`.
Every figure has a text alternative and carries its data for download.
"""

from __future__ import annotations

import base64
import errno
import gzip
import io
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import jinja2
import matplotlib

matplotlib.use("Agg")  # a report is written without a screen

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure as Drawing
from PIL import Image  # comes with matplotlib

from ganlab import __version__
from ganlab.forked import forked
from ganlab.plots import style
from ganlab.registry import InputError, shown

PLAIN_BYTES = 30_000
"""Data up to this size are attached as CSV, larger ones as CSV in gzip, to keep the file small."""


@dataclass(frozen=True)
class Cell:
    """A table cell with a tone (a verdict's, or none), a second line, and a colour swatch if wanted."""

    text: str
    tone: str = ""
    note: str = ""
    swatch: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph, or a list when there are several."""

    paragraphs: Sequence[str]
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first column is the rows' heading."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str = ""
    folded: bool = False
    kind: Literal["table"] = "table"

    def cells(self) -> list[list[Cell]]:
        """Return all cells as `Cell`."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]


@dataclass(frozen=True)
class Figure:
    """A figure: the question, a function that draws it, the answer in words, and its data.

    Parameters
    ----------
    title
        The question it answers.
    draw
        Returns a matplotlib figure.
    alt
        What it shows, for who cannot see it.
    """

    title: str
    draw: Callable[[], Drawing]
    frame: pd.DataFrame
    alt: str
    caption: str = ""
    folded: bool = False
    kind: Literal["figure"] = "figure"


Block = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading with blocks under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A study: its title, the answer in one sentence, and its sections."""

    name: str
    title: str
    answer: str
    sections: Sequence[Section] = field(default_factory=tuple)


def write(pages: Sequence[Page], path: str | Path, command: str = "ganlab.report(runs, path)") -> Path:
    """Render pages into one HTML file, written aside and renamed, and return its path.

    Parameters
    ----------
    command
        What made the report, for its readers; paths and arguments of a user's own program do not belong in it.

    Raises
    ------
    InputError
        When the file cannot be written; nothing is drawn then.
    """
    target = Path(path).absolute()
    prepare(path)
    aside = target.parent / f".report-{uuid.uuid4().hex}"
    text = render(pages, command)
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        aside.unlink(missing_ok=True) if aside.parent.is_dir() else None
    return Path(path)


def prepare(path: str | Path) -> None:
    """Make the folder of a report, and try to write there. Raises InputError when that fails."""
    target = Path(path).absolute()
    aside = target.parent / f".report-{uuid.uuid4().hex}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.touch()
        aside.unlink()
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str | Path, error: OSError) -> InputError:
    return InputError(f"cannot write the report to {str(path)!r}: {error.strerror or error}; choose another path")


def render(pages: Sequence[Page], command: str) -> str:
    """Return the HTML of the pages."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    figures = [block for page in pages for section in page.sections for block in section.blocks if isinstance(block, Figure)]
    drawn = dict(zip(map(id, figures), forked(_drawn, figures), strict=True))
    environment.globals["drawn"] = lambda figure: drawn[id(figure)]
    template = environment.from_string((resources.files("ganlab.pages") / "report.html.jinja").read_text(encoding="utf-8"))
    return template.render(pages=pages, command=command, version=__version__)


def _visible(value: Any) -> Any:
    """Return text with control characters as symbols; line breaks stay, and what is markup already is left alone."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return "\n".join(shown(line) for line in value.split("\n"))
    return value


def _drawn(figure: Figure) -> dict[str, Any]:
    """Return what of a figure takes time: its picture and its data."""
    return {"picture": _picture(figure), "data": _attachment(figure.frame)}


def _picture(figure: Figure) -> dict[str, Any]:
    """Return the figure as a data URI, and its size in CSS pixels."""
    with plt.rc_context(style()):  # type: ignore[arg-type]
        drawing = figure.draw()
        buffer = io.BytesIO()
        quality = {"quality": 75, "method": 4}
        drawing.savefig(buffer, format="webp", dpi=150, bbox_inches="tight", pad_inches=0.06, pil_kwargs=quality)
        plt.close(drawing)
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        width, height = (round(pixels / 1.5) for pixels in image.size)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"uri": uri, "width": width, "height": height}


def _attachment(frame: pd.DataFrame) -> dict[str, str]:
    """Return the data of a figure as a data URI, and the ending of its file name."""
    text = frame.to_csv(index=False, float_format="%.6g").encode()
    if len(text) <= PLAIN_BYTES:
        return {"uri": "data:text/csv;base64," + base64.b64encode(text).decode(), "ending": "csv"}
    packed = gzip.compress(text, mtime=0)
    return {"uri": "data:application/gzip;base64," + base64.b64encode(packed).decode(), "ending": "csv.gz"}
