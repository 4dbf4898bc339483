"""Downloading, listing and writing files, from folders and zip files."""

from __future__ import annotations

import contextlib
import http.server
import threading
import zipfile
from collections.abc import Iterator

import pytest

from medcode import download
from medcode.errors import UserError


def test_a_folder_and_a_zip_give_the_same_listing(tmp_path):
    (tmp_path / "folder" / "a").mkdir(parents=True)
    (tmp_path / "folder" / "a" / "b.txt").write_bytes(b"b")
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        archive.writestr("a/", b"")
        archive.writestr("a/b.txt", b"b")
    for source in (tmp_path / "folder", tmp_path / "folder.zip"):
        assert {name: reader() for name, reader in download.listing(source).items()} == {"a/b.txt": b"b"}


def test_an_invalid_source_is_refused(tmp_path):
    (tmp_path / "page.zip").write_bytes(b"<html>")
    with pytest.raises(UserError, match="not a whole zip file"):
        download.listing(tmp_path / "page.zip")
    with pytest.raises(UserError, match="no such folder or zip file"):
        download.listing(tmp_path / "gone")


def test_a_damaged_member_is_reported_in_one_line(tmp_path):
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"a long enough text")
    path.write_bytes(path.read_bytes().replace(b"long", b"lung"))
    with pytest.raises(UserError, match=r"damaged.zip: a.txt: could not be read \(BadZipFile\)"):
        download.read(download.listing(path)["a.txt"], path, "a.txt")


def test_put_replaces_the_whole_folder(tmp_path):
    assert download.put({"a/b.txt": b"1", "c.txt": b"2"}, tmp_path / "to") == 2
    assert download.put({"c.txt": b"3"}, tmp_path / "to") == 1
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["c.txt"]


class Page(http.server.BaseHTTPRequestHandler):
    """Answers /whole with three bytes, /short with fewer than it promises, anything else with an error."""

    def do_GET(self):
        length = {"/whole": 3, "/short": 4}.get(self.path)
        self.send_response(404 if length is None else 200)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if length is not None:
            self.wfile.write(self.headers["User-Agent"].encode()[:3])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_file_is_saved_under_the_given_name(tmp_path):
    with serving() as place:
        path = download.retrieve(f"{place}/whole", tmp_path, "a.zip", "give FROM=a.zip")
    assert path == tmp_path / "a.zip" and path.read_bytes() == b"med"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("/short", "EOFError"), ("/gone", "HTTPError"), (None, "ConnectionRefusedError")],
)
def test_a_failed_download_is_reported_in_one_line(tmp_path, name, reason):
    with serving() as place:
        url = f"{place}{name}" if name else "http://127.0.0.1:9/a.zip"
        with pytest.raises(UserError) as raised:
            download.retrieve(url, tmp_path, "a.zip", "give FROM=a.zip")
    assert str(raised.value) == f"{url}: could not be fetched ({reason}); give FROM=a.zip"
