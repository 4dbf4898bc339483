"""Style of the figures, and SVG text of a figure: the same numbers give the same bytes.

Text stays text, so that a reader can select it and a page can choose its font. The colors are distinct for readers with
any of the common color vision deficiencies (after Okabe and Ito), and differ in lightness too.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

BLUE, ORANGE, GREEN = "#0b62a4", "#e08214", "#3f9f7f"
SERIES = (BLUE, ORANGE, GREEN)
INK, QUIET, GRID, PAPER = "#1f2a37", "#5b6776", "#dfe4ea", "#ffffff"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
HEIGHT = 3.15  # inches, of one row of panels
WIDE, NARROW = 9.6, 4.75
PHONE = 3.7  # of a figure that is shown 350 pixels wide: its text is then as large as on a wide page

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is the same on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "axes.titlecolor": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "medcode",
}
THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")


def training_label(*, phone: bool) -> str:
    """Return the label of an axis of groups of codes."""
    return "Training documents (n: codes)" if phone else "Training documents of the code (n: number of codes)"


def legend(axes: Axes, *, phone: bool, below: float = 0.24, **options: float) -> None:
    """Put the legend of a panel beside its title; on a phone below the panel, by a share of its height."""
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -below)}
    wide = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.55}
    axes.legend(ncols=3, **(place if phone else wide), **options)


@contextlib.contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure in our style, independent of the user's matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.05)
        yield figure


@contextlib.contextmanager
def grid(rows: int, columns: int, *, phone: bool, sharey: bool = False) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yield a figure and its panels [rows, columns]; on a phone each panel has a row of its own.

    Args:
        rows: number of rows.
        columns: panels of each row on a wide page.
        phone: whether the figure is for a narrow page.
        sharey: whether the panels share their vertical axis.
    """
    lines = rows * columns if phone else rows
    with canvas(PHONE if phone else WIDE, HEIGHT * lines) as figure:
        panels = figure.subplots(lines, 1 if phone else columns, sharey=sharey, squeeze=False)
        yield figure, panels.reshape(-1, columns)


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """Render a figure as SVG without date or version. Ids begin with `name`, so several figures fit in one page.

    Those of a figure for a phone begin with `name` and `-phone`, because a page has both.
    """
    name += "-phone" if figure.get_figwidth() == PHONE else ""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace("'DejaVu Sans'", FONTS)
    label = f'role="img" aria-labelledby="{name}-title {name}-description"'
    head = (
        f'<title id="{name}-title">{escape(title)}</title>\n <desc id="{name}-description">{escape(description)}</desc>'
    )
    return re.sub(r"<svg ([^>]*)>", lambda tag: f"<svg {label} {tag[1]}>\n {head}", text, count=1)
