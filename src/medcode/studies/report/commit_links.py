"""Where a revision of the code can be looked at: links to commits, for the hosts whose form of them is known."""

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
    """The page of a repository, from a remote of git without user and password; None where it has none that we know."""
    for form in FORMS:
        if (found := form.fullmatch(remote or "")) and HOSTS.search(found["host"]):
            path = found["path"].rstrip("/").removesuffix(".git")
            return f"https://{found['host']}{found.groupdict().get('port') or ''}/{path}"
    return None


def link(repository: str | None, commit: str) -> str | None:
    """The page of a commit as a training notes it; None where there is no such page."""
    revision = commit.removesuffix("+")
    known = repository is not None and re.fullmatch(r"[0-9a-f]{7,40}", revision)
    return f"{repository}/commit/{revision}" if known else None


def command(commit: str) -> str:
    """What shows a commit in a clone."""
    changed = ", and changes that were not committed" if commit.endswith("+") else ""
    return f"git show {commit.removesuffix('+')}{changed}"
