"""What every figure shares: colours, type, and SVG text that is the same bytes for the same numbers.

Text stays text, so that a reader can select it and a page can choose its font. The colours tell apart for readers with
any of the common colour vision deficiencies (after Okabe and Ito), and differ in lightness too.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

import matplotlib
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = "#0b62a4", "#e08214", "#3f9f7f"
SERIES = (BLUE, ORANGE, GREEN)
INK, QUIET, GRID, PAPER = "#1f2a37", "#5b6776", "#dfe4ea", "#ffffff"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

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


@contextlib.contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in our style, whatever the reader's own matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        drawn = Figure(figsize=(width, height), layout="constrained")
        drawn.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.05)
        yield drawn


def svg(drawn: Figure, name: str, title: str, description: str) -> str:
    """Renders without a date or a version, with ids of its own so that several figures fit in one page."""
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace("'DejaVu Sans'", FONTS)
    label = f'role="img" aria-labelledby="{name}-title {name}-description"'
    inside = (
        f'<title id="{name}-title">{escape(title)}</title>\n <desc id="{name}-description">{escape(description)}</desc>'
    )
    return re.sub(r"<svg ([^>]*)>", lambda tag: f"<svg {label} {tag[1]}>\n {inside}", text, count=1)
