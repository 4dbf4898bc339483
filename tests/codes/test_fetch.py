"""Fetching official files of codes: found by name at any depth, and verified by digest."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from medcode.codes import fetch, sources
from medcode.errors import UserError


@pytest.fixture
def small(small_official, monkeypatch) -> Path:
    """The few lines of `conftest` in place of the published files."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in small_official.iterdir()}
    monkeypatch.setattr(fetch, "DIGESTS", digests)
    return small_official


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def archives(small: Path, folder: Path) -> list[Path]:
    """Put the files into four zip files, named as the published ones."""
    names = sorted(fetch.DIGESTS)
    paths = [folder / url.rsplit("/", 1)[1] for url in fetch.ARCHIVES]
    for number, path in enumerate(paths):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("Readme.pdf", b"read me")
            for name in names[number::4]:
                archive.write(small / name, f"some folder/{name}")
    return paths


def test_every_official_file_has_a_digest():
    assert set(fetch.DIGESTS) == set(sources.OFFICIAL)
    assert len(set(fetch.DIGESTS.values())) == len(fetch.DIGESTS) == 10


def test_fetch_reads_a_folder_a_zip_and_a_folder_of_zips(small, tmp_path):
    deep, zips = tmp_path / "deep", tmp_path / "zips"
    shutil.copytree(small, deep / "a" / "b")
    zips.mkdir()
    archives(small, zips)
    whole = Path(shutil.make_archive(str(tmp_path / "whole"), "zip", deep))
    for source in (small, deep, zips, whole):
        to = tmp_path / "to" / "files"
        assert fetch.fetch(to, source) == 10
        assert contents(to) == contents(small)
        assert [path.name for path in to.parent.iterdir()] == ["files"]


def test_fetch_downloads_from_the_publishers(small, tmp_path, monkeypatch):
    published = tmp_path / "published"
    published.mkdir()
    paths = archives(small, published)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(published))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(fetch, "ARCHIVES", tuple(f"{place}/{path.name}" for path in paths))
        assert fetch.fetch(tmp_path / "to" / "files") == 10
        server.shutdown()
    assert contents(tmp_path / "to" / "files") == contents(small)
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["files"]


def test_an_unreachable_url_is_reported_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "ARCHIVES", ("http://127.0.0.1:9/ccs.zip", "http://127.0.0.1:9/gem.zip"))
    with pytest.raises(UserError, match=r"ccs\.zip: could not be fetched .* 1 others with a browser .* FROM=folder"):
        fetch.fetch(tmp_path / "to" / "files")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_wrong_digest_leaves_the_existing_folder_unchanged(small, tmp_path):
    source, to = tmp_path / "source", tmp_path / "files"
    shutil.copytree(small, source)
    fetch.fetch(to, source)
    (source / "gem_i9pcs.txt").write_bytes(b"0331  009U3ZX 00000\r\n")
    with pytest.raises(UserError, match=r"gem_i9pcs\.txt: the file differs from the published one"):
        fetch.fetch(to, source)
    (source / "older").mkdir()
    shutil.move(source / "gem_i9pcs.txt", source / "older")
    with pytest.raises(UserError, match="differs"):
        fetch.fetch(to, source)
    shutil.copy(small / "gem_i9pcs.txt", source)  # the right one lies there as well
    assert fetch.fetch(to, source) == 10
    (source / "2018_I9gem.txt").unlink()
    (source / "2018_I10gem.txt").unlink()
    with pytest.raises(UserError, match=r"there is no '2018_I9gem\.txt' in it and 1 more"):
        fetch.fetch(to, source)
    assert contents(to) == contents(small)


def test_the_published_files(official, shared):
    published = {path.name: path.read_bytes() for path in (shared / "reference").rglob("*") if path.is_file()}
    assert contents(official).items() <= published.items()
    assert set(contents(official)) == set(sources.OFFICIAL)
