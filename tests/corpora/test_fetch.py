"""Fetching: only the exact published corpus is installed."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from medcode.corpora import fetch
from medcode.errors import UserError

SMALL = {"train/trainD.tsv": b"S-1\tn44.8\n", "train/text_files/S-1.txt": b"uno", "train/text_files/S-2.txt": b"dos"}


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """A corpus of three files in place of CodiEsp."""
    folder = tmp_path / "download" / "final_dataset"
    for name, content in {**SMALL, "README.txt": b"read me"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    listing = "".join(
        f"{hashlib.sha256(SMALL[f'train/text_files/{n}']).hexdigest()}  {n}\n" for n in ("S-1.txt", "S-2.txt")
    )
    expected = {
        "train/trainD.tsv": (1, hashlib.sha256(SMALL["train/trainD.tsv"]).hexdigest()),
        "train/text_files": (2, hashlib.sha256(listing.encode()).hexdigest()),
    }
    monkeypatch.setitem(fetch.ARCHIVES, "codiesp", ("http://127.0.0.1:9/codiesp.zip", expected))
    return tmp_path / "download"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder.parent / "codiesp"), "zip", folder))


def test_fetch_reads_a_folder_and_a_zip(small, tmp_path):
    for source in (small, small / "final_dataset", zipped(small)):
        to = tmp_path / "raw" / "codiesp"
        assert fetch.fetch("codiesp", to, source) == 3
        assert files(to) == SMALL
        assert [path.name for path in to.parent.iterdir()] == ["codiesp"]


def test_fetch_downloads_the_archive(small, tmp_path, monkeypatch):
    archive = zipped(small)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(archive.parent))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{archive.name}"
        monkeypatch.setitem(fetch.ARCHIVES, "codiesp", (url, fetch.ARCHIVES["codiesp"][1]))
        assert fetch.fetch("codiesp", tmp_path / "raw" / "codiesp") == 3
        server.shutdown()
    assert files(tmp_path / "raw" / "codiesp") == SMALL
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["codiesp"]


def test_an_unreachable_archive_is_reported_in_one_line(small, tmp_path):
    with pytest.raises(UserError, match=r"codiesp\.zip: could not be fetched .* give FROM=codiesp\.zip"):
        fetch.fetch("codiesp", tmp_path / "raw" / "codiesp")
    assert list((tmp_path / "raw").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train/trainD.tsv", b"S-1\tn44.9\n", "trainD.tsv: the file differs from the published one"),
        ("train/text_files/S-2.txt", b"tres", "train/text_files: a file in it differs"),
        ("train/text_files/S-2.txt", None, "train/text_files: found 1 files, expected 2"),
        ("train/text_files/S-3.txt", b"mas", "train/text_files: found 3 files, expected 2"),
        ("train/trainD.tsv", None, "not the corpus: there is no train/trainD.tsv in it"),
    ],
)
def test_a_wrong_digest_leaves_the_existing_folder_unchanged(small, tmp_path, name, content, message):
    to = tmp_path / "raw" / "codiesp"
    fetch.fetch("codiesp", to, small)
    path = small / "final_dataset" / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    for source in (small, zipped(small)):
        with pytest.raises(UserError, match=message):
            fetch.fetch("codiesp", to, source)
        assert files(to) == SMALL


def test_a_file_that_is_no_zip_is_refused(small, tmp_path):
    (tmp_path / "codiesp.zip").write_bytes(b"<html>")
    with pytest.raises(UserError, match="not a whole zip file"):
        fetch.fetch("codiesp", tmp_path / "raw", tmp_path / "codiesp.zip")
    with pytest.raises(UserError, match="no such folder or zip file"):
        fetch.fetch("codiesp", tmp_path / "raw", tmp_path / "gone.zip")


@pytest.mark.parametrize(
    "name",
    ["final_dataset/train/text_files/../../../escaped.txt", "../escaped.txt", "train\\..\\..\\escaped.txt", ".."],
)
def test_a_zip_with_a_name_that_leaves_its_folder_is_refused(small, tmp_path, name):
    archive = zipped(small)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"out")
    with pytest.raises(UserError) as mistake:
        fetch.fetch("codiesp", tmp_path / "raw" / "codiesp", archive)
    assert str(mistake.value) == f"{archive}: {name}: leaves its folder; such a zip file is not read, fetch another"
    assert not list(tmp_path.rglob("escaped.txt")) and not (tmp_path / "raw").exists()


@pytest.mark.parametrize("prefix", ["", "a/b..c/", "/codiesp/", "./", "C:/"])
def test_a_zip_may_hold_the_corpus_at_any_depth(small, tmp_path, prefix):
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as file:
        for name, content in SMALL.items():
            file.writestr(prefix + name, content)
    assert fetch.fetch("codiesp", tmp_path / "raw" / "codiesp", tmp_path / "deep.zip") == 3
    assert files(tmp_path / "raw" / "codiesp") == SMALL


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        (
            "mimic3",
            r"credentialed access .*mimiciii.*NOTEEVENTS, DIAGNOSES_ICD and PROCEDURES_ICD.*only codiesp",
        ),
        ("mimic4", r"credentialed access .*discharge.*only codiesp, cantemist can be fetched"),
        ("synthetic-mimic3", "is made by the pipeline itself"),
        ("jsonl", "is your own"),
        ("table", r"is your own: .* under corpora\.table"),
        ("fhir", r"is your own: put the \*\.ndjson files"),
        ("codi-esp", "unknown corpus 'codi-esp'; did you mean 'codiesp'"),
    ],
)
def test_the_error_for_a_restricted_corpus_names_its_source(corpus, message, tmp_path):
    with pytest.raises(UserError, match=message):
        fetch.fetch(corpus, tmp_path / corpus)


@pytest.mark.parametrize(
    ("corpus", "number", "name"),
    [("codiesp", 7_511, "train/trainX.tsv"), ("cantemist", 2_606, "test-set/cantemist-coding/test-coding.tsv")],
)
def test_the_published_corpus(shared, tmp_path, corpus, number, name):
    assert fetch.fetch(corpus, tmp_path / corpus, shared / "corpora" / corpus) == number
    assert (tmp_path / corpus / name).stat().st_size > 0


def test_annotations_are_verified_with_their_texts(tmp_path, monkeypatch):
    folder = tmp_path / "download" / "train-set" / "cantemist-norm"
    folder.mkdir(parents=True)
    contents = {"cc_1.ann": b"T1", "cc_1.txt": b"uno"}
    for name, content in {**contents, ".DS_Store": b"?"}.items():
        (folder / name).write_bytes(content)
    listing = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
    expected = {"train-set/cantemist-norm/cc_1.txt": (1, hashlib.sha256(b"uno").hexdigest())}
    expected["train-set/cantemist-norm"] = (2, hashlib.sha256(listing.encode()).hexdigest())
    monkeypatch.setitem(fetch.ARCHIVES, "cantemist", ("http://127.0.0.1:9/cantemist.zip", expected))
    for source in (tmp_path / "download", zipped(tmp_path / "download")):
        assert fetch.fetch("cantemist", tmp_path / "raw", source) == 2
        assert files(tmp_path / "raw") == {f"train-set/cantemist-norm/{name}": text for name, text in contents.items()}
    (folder / "cc_1.ann").write_bytes(b"T2")
    with pytest.raises(UserError, match="train-set/cantemist-norm: a file in it differs"):
        fetch.fetch("cantemist", tmp_path / "raw", tmp_path / "download")
