"""Figures within a page: their colors are the page's, which differ in dark mode."""

from __future__ import annotations

import re

from markupsafe import Markup

from medcode.report import svg as drawing

# Colors of the figures and the variables of the page that replace them, which differ in dark mode.
COLORS = {
    drawing.BLUE: "var(--series-1)",
    drawing.ORANGE: "var(--series-2)",
    drawing.GREEN: "var(--series-3)",
    drawing.INK: "var(--ink)",
    drawing.QUIET: "var(--quiet)",
    drawing.GRID: "var(--line)",
    drawing.PAPER: "var(--card)",
}


def inline(svg: str) -> Markup:
    """Convert a figure for the page: no prologue, colors as variables of the page."""
    svg = svg[svg.index("<svg ") :]
    for color, variable in COLORS.items():
        svg = svg.replace(color, variable)
    # The page gives the size; the view box keeps the proportions.
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return Markup(svg)  # safe: our figures escape their text
