"""Links to the pages of commits, for hosts whose URLs are known."""

from __future__ import annotations

import re

HOSTS = re.compile(r"github|gitlab|codeberg")
# https://[user@]host[:port]/path, ssh://[user@]host[:port]/path and user@host:path.
FORMS = (
    re.compile(r"https?://(?:[^/@]*@)?(?P<host>[^/:]+)(?P<port>:\d+)?/(?P<path>.+)"),
    re.compile(r"ssh://(?:[^/@]*@)?(?P<host>[^/:]+)(?::\d+)?/(?P<path>.+)"),
    re.compile(r"[^/@:]+@(?P<host>[^/:]+):(?P<path>[^/].*)"),
)


def address(remote: str | None) -> str | None:
    """Return the web page of a git remote, without user and password; None for an unknown host."""
    for form in FORMS:
        if (match := form.fullmatch(remote or "")) and HOSTS.search(match["host"]):
            path = match["path"].rstrip("/").removesuffix(".git")
            return f"https://{match['host']}{match.groupdict().get('port') or ''}/{path}"
    return None


def link(repository: str | None, commit: str) -> str | None:
    """Return the web page of a commit that a training recorded; None if there is no page."""
    revision = commit.removesuffix("+")
    linked = repository is not None and re.fullmatch(r"[0-9a-f]{7,40}", revision)
    return f"{repository}/commit/{revision}" if linked else None


def command(commit: str) -> str:
    """Return the command that shows a commit in a clone."""
    uncommitted = ", and changes that were not committed" if commit.endswith("+") else ""
    return f"git show {commit.removesuffix('+')}{uncommitted}"
