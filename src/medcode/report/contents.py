"""List of contents of a page: a link to each section."""

from __future__ import annotations

import html
import re

PLACE = "<!-- contents -->"
SECTION = re.compile(r"<section>(\s*)<h2>(.*?)</h2>", re.DOTALL)


def with_contents(page: str) -> str:
    """Return a page whose sections have ids, with links to them at `PLACE`.

    A section begins with `<section>` and a heading `<h2>`, from whose words its id is made.
    """
    links: list[str] = []

    def named(section: re.Match[str]) -> str:
        space, title = section.groups()
        name = re.sub(r"\W+", "-", html.unescape(title).lower()).strip("-")
        links.append(f'    <li><a href="#{name}">{title}</a></li>')
        return f'<section id="{name}">{space}<h2>{title}</h2>'

    page = SECTION.sub(named, page)
    return page.replace(PLACE, "\n".join(['<nav aria-label="Contents">', "  <ol>", *links, "  </ol>", "</nav>"]))
