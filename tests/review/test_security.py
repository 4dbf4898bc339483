"""What the server refuses, what its answers say to the browser, and what it never writes."""

from __future__ import annotations

import json
import re

import pytest
from review_server import PORT, TOKEN

from medcode.review.app import FILES
from medcode.review.security import HEADERS, LARGEST_BODY, TOKEN_HEADER, new_token

READ = ["/api/notes", "/api/notes/0", "/api/neighbor?number=-1", "/api/codes?query=fever", "/openapi.json"]
WRITE = ["/api/notes/0/decisions", "/api/undo", "/predict"]
SECRET = "lives at the harbor"


@pytest.fixture
def client(connect):
    return connect()[1]


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "é"])
@pytest.mark.parametrize("path", [*READ, *WRITE, *FILES, "/favicon.ico", "/nowhere"])
def test_without_the_token_nothing_is_answered(client, path, token):
    client.headers.pop(TOKEN_HEADER)
    headers = {} if token is None else {TOKEN_HEADER: token.encode()}
    answer = client.request("POST" if path in WRITE else "GET", path, headers=headers)
    assert (answer.status_code, answer.content) == (403, b"")
    # Nor with the token in a cookie or a query, which a browser adds to requests of other pages.
    answer = client.get(f"{path.partition('?')[0]}?token={TOKEN}", headers={"cookie": f"token={TOKEN}"})
    assert (answer.status_code, answer.content) == (403, b"")


def test_the_token_in_the_path_opens_the_files_of_the_page_alone(client):
    client.headers.pop(TOKEN_HEADER)
    for path, (_, media_type) in FILES.items():
        answer = client.get(f"/{TOKEN}{path}")
        assert answer.status_code == 200 and answer.headers["content-type"] == media_type and answer.content
        assert TOKEN not in answer.text
        assert client.post(f"/{TOKEN}{path}").status_code == 403
        assert client.get(f"/{TOKEN[:-1]}{path}").status_code == 403
    for path in (*READ, *WRITE, "/page.html", "/../app.py", "//page.js"):
        for method in ("GET", "POST", "DELETE"):
            assert client.request(method, f"/{TOKEN}{path}").status_code == 403


def test_tokens_cannot_be_guessed():
    assert len({new_token() for _ in range(100)}) == 100 and len(new_token()) >= 43


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:8001", "0.0.0.0:8000", "127.0.0.1.evil:8000", ""],
)
def test_another_host_is_refused(client, host):
    answer = client.get("/api/notes", headers={"host": host})
    assert (answer.status_code, answer.content) == (403, b"")


def test_the_names_of_this_machine_and_its_own_pages_are_accepted(client):
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}"):
        assert client.get("/api/notes", headers={"host": host}).status_code == 200
        for origin in ("http://evil.example", "null", f"https://{host}", "http://127.0.0.1:1"):
            headers = {"host": host, "origin": origin}
            assert client.post("/api/undo", headers=headers, json={}).status_code == 403
        assert client.post("/api/undo", headers={"host": host, "origin": f"http://{host}"}, json={}).status_code == 200


@pytest.mark.parametrize("path", [f"/{TOKEN}/", "/api/notes", "/nowhere", "/api/notes/99"])
def test_every_answer_has_the_headers_of_security(client, path):
    for answer in (client.get(path), client.get(path, headers={"host": "evil"})):
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]
        assert "access-control-allow-origin" not in answer.headers and "set-cookie" not in answer.headers
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_script(client):
    for path in FILES:
        text = client.get(path).text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\.style\b", text), path
    page = client.get("/").text
    assert not re.search(r"<script(?![^>]*src=)|<style|\bon\w+=|\bstyle=", page)


def test_a_body_that_is_too_large_or_has_no_length_is_refused(client):
    large = "x" * LARGEST_BODY
    assert client.post("/api/undo", json={"text": large}).status_code == 413
    assert client.post("/predict", json={"texts": [f"fever {large}"]}).status_code == 200
    assert client.post("/predict", content=b"{}", headers={"content-length": "99999999999"}).status_code == 413
    assert client.post("/predict", content=iter([b"{}"])).status_code == 411


def test_a_mistake_in_a_request_is_told_without_the_text(client, capfd):
    for body in ({"texts": SECRET}, {"texts": [1], "other": SECRET}, {SECRET: SECRET}, [SECRET]):
        answer = client.post("/predict", json=body)
        assert answer.status_code == 422 and SECRET not in json.dumps(answer.json()).replace(f".{SECRET}:", "")
    answer = client.post("/predict", json={"texts": SECRET})
    assert SECRET not in answer.text and "texts" in answer.json()["detail"]
    assert client.post("/predict", content=SECRET.encode()).status_code == 422
    for path, body in (
        ("/predict", '{"texts": ["\\ud800"]}'),
        ("/api/notes/0/decisions", '{"action": "add", "codes": [{"system": "icd9cm", "code": "\\ud800"}]}'),
        ("/api/notes/0/decisions", '{"action": "add", "codes": [{"system": "\\u202e", "code": "486"}]}'),
        ("/predict", "[" * 50_000),
        ("/predict", b"\xff"),
    ):
        assert client.post(path, content=body).status_code in (200, 422), (path, body[:80])
    assert SECRET not in "".join(capfd.readouterr())


class Broken:
    """A model that fails with the text in its message."""

    def try_predict(self, texts, *arguments, **options):
        raise ValueError(texts[0])


def test_an_unexpected_error_says_where_it_is_and_nothing_else(connect, capfd):
    _, client = connect(coder=Broken())
    answer = client.post("/predict", json={"texts": [SECRET]})
    printed = "".join(capfd.readouterr())
    assert answer.status_code == 500 and SECRET not in answer.text and SECRET not in printed
    assert re.search(r"^error: ValueError in .*test_security\.py, line \d+$", printed, re.MULTILINE)
