"""Links to commits."""

from __future__ import annotations

import pytest

from medcode.studies.report import commit_links


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/group/project.git", "https://github.com/group/project"),
        ("https://user:secret@github.com/group/project", "https://github.com/group/project"),
        ("git@gitlab.com:group/sub/project.git", "https://gitlab.com/group/sub/project"),
        ("ssh://git@gitlab.example.org:2222/group/project.git", "https://gitlab.example.org/group/project"),
        ("https://gitlab.example.org:8443/group/project/", "https://gitlab.example.org:8443/group/project"),
        ("https://example.org/github/project.git", None),
        ("/home/someone/github/project", None),
        ("file:///home/github/project", None),
        ("", None),
        (None, None),
    ],
)
def test_address_is_known_for_known_hosts_without_password(remote, page):
    assert commit_links.address(remote) == page


def test_only_valid_commits_are_linked():
    base = "https://github.com/group/project"
    assert commit_links.link(base, "0123456789+") == f"{base}/commit/0123456789"
    assert commit_links.link(None, "0123456789") is None
    assert commit_links.link(base, "unknown") is None and commit_links.link(base, "\N{EN DASH}") is None
