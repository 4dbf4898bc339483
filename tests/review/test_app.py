"""The server's answers: the work list, a note, decisions, search, predictions."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import note_models
import pytest
from review_server import TOP

from medcode.bulk.rows import Columns
from medcode.bulk.sources import Sources
from medcode.coder import Coder
from medcode.evidence.spans import Span
from medcode.inference.calibration import Calibration, HeadCalibration, Identity
from medcode.review.ledger import read, text_digest
from medcode.review.opened import OpenedNotes
from medcode.review.work_list import WorkList

HOSTILE = (
    '<script>alert("x")</script><img src=x onerror=alert(1)> fever \x1b[31mchills\x1b[0m \x07\x9b1m '
    "\u202epneumonia\u202c \u2066cough\u2069 \u200eİ \U0001f600 </mark></section> sepsis"
)


def decide(client, number: int, action: str, *codes: dict, expected: int = 200) -> dict:
    body = {"action": action, "codes": [{"system": code["system"], "code": code["code"]} for code in codes]}
    answer = client.post(f"/api/notes/{number}/decisions", json=body)
    assert answer.status_code == expected, answer.text
    return answer.json()


def verdicts(held: dict) -> dict[str, str | None]:
    return {code["code"]: code["verdict"] for code in held["codes"]}


def test_a_note_has_its_codes_and_marked_evidence(connect, coder):
    session, client = connect()
    note = client.get("/api/notes/1").json()
    text = session.work_list.text(1)
    (prediction,) = coder.predict([text], evidence=True, top=TOP)
    assert "".join(part for part, _ in note["segments"]) == text
    assert [code["code"] for code in note["codes"]] == [code["code"] for code in prediction.codes]
    for index, (code, expected) in enumerate(zip(note["codes"], prediction.codes, strict=True)):
        assert code["probability"] == pytest.approx(expected["probability"])
        assert (code["verdict"], code["description"]) == (None, f"Description of {code['code']}")
        marked = "".join(part for part, codes in note["segments"] if index in codes)
        spans = sorted(Span(*span) for span in expected["spans"])
        assert marked == "".join(span.text for span in spans) and sorted(code["phrases"]) == sorted(
            s.text for s in spans
        )
    assert client.get("/api/notes/5").status_code == 404 and client.get("/api/notes/x").status_code == 422


def test_a_note_is_reviewed_and_the_next_review_goes_on(connect, tmp_path):
    session, client = connect()
    first, second, third = client.get("/api/notes/0").json()["codes"]
    added = {"system": "icd9cm", "code": "4280"}
    assert verdicts(decide(client, 0, "accept", first, second)) == {
        first["code"]: "accept", second["code"]: "accept", third["code"]: None
    }  # fmt: skip
    assert "1 of the codes is undecided" in decide(client, 0, "done", expected=409)["detail"]
    decide(client, 0, "reject", second, third)
    assert verdicts(decide(client, 0, "add", added))["428.0"] == "add"
    assert decide(client, 0, "done")["done"]
    assert session.ledger.state.of("n0").text == text_digest(session.work_list.text(0))
    (row, *_) = client.get("/api/notes").json()["rows"]
    assert (row["done"], row["codes"]) == (True, 2) and row["lowest"] == pytest.approx(third["probability"])
    assert client.get("/api/neighbor?number=-1&state=open").json() == {"number": 1}
    session.ledger.close()
    _, again = connect()
    held = again.get("/api/notes/0").json()
    assert held["done"] and list(verdicts(held).values()) == ["accept", "reject", "reject", "add"]
    undone = again.post("/api/undo", json={}).json()
    assert (undone["number"], undone["done"]) == (0, False)
    assert "428.0" not in verdicts(again.post("/api/undo", json={}).json())
    assert read(tmp_path / "ledger.jsonl").of("n0").codes == [(first["system"], first["code"])]
    for _ in range(2):
        again.post("/api/undo", json={})
    assert again.post("/api/undo", json={}).json() == {"id": None}


def test_a_decision_is_on_the_disk_when_it_is_answered_and_has_no_text(connect, tmp_path):
    session, client = connect()
    (code, *_) = client.get("/api/notes/2").json()["codes"]
    decide(client, 2, "accept", code)
    content = (tmp_path / "ledger.jsonl").read_text()
    line = json.loads(content.splitlines()[-1])
    assert (line["note"], line["action"], line["model"]) == ("n2", "accept", "digest")
    assert line["codes"] == [{
        "system": code["system"], "code": code["code"], "probability": pytest.approx(code["probability"], abs=1e-4)
    }]  # fmt: skip
    assert not any(word in content for word in session.work_list.text(2).split() if len(word) > 4 and word.isalpha())


@pytest.mark.parametrize(
    ("action", "codes", "message"),
    [
        ("accept", [{"system": "icd9cm", "code": "999"}], "icd9cm 999 is not among the codes of this note"),
        ("add", [{"system": "icd9cm", "code": "I10"}], "'I10' is not a code of icd9cm"),
        ("add", [{"system": "icd11", "code": "I10"}], "unknown code system 'icd11'"),
        ("add", [], "codes: at least one"),
        ("forget", [], "action: Input should be"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(connect, tmp_path, action, codes, message):
    _, client = connect()
    assert message in decide(client, 0, action, *codes, expected=422)["detail"]
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 1


def test_codes_of_a_model_that_no_longer_predicts_them_stay(connect, coder):
    session, client = connect()
    codes = client.get("/api/notes/0").json()["codes"]
    decide(client, 0, "accept", *codes)
    session.opened = OpenedNotes(coder, session.work_list, top=1)
    held = client.get("/api/notes/0").json()
    assert list(verdicts(held).values()) == ["accept"] * TOP and held["codes"][2]["evidence"] is None
    decide(client, 0, "reject", codes[2])


def test_the_list_is_filtered_and_paged(connect):
    session, client = connect([note_models.note(number) for number in range(30)])
    for number in (3, 4, 20):
        session.ledger.decide(f"n{number}", "done")

    def listed(**query) -> list[int]:
        return [row["number"] for row in client.get("/api/notes", params=query).json()["rows"]]

    assert listed() == list(range(30)) and listed(state="done") == [3, 4, 20]
    assert listed(state="open", offset=2, limit=3) == [2, 5, 6]
    assert listed(query="N2", state="open") == [2, *range(21, 30)]
    assert listed(limit=10, around=15) == list(range(10, 20)) and listed(state="done", around=29) == [3, 4, 20]
    found = client.get("/api/notes?limit=2").json()
    assert (found["found"], found["notes"], found["done_notes"]) == (30, 30, 3)
    assert found["rows"][0] == {"number": 0, "id": "n0", "done": False, "codes": None, "lowest": None}

    def neighbor(**query) -> int | None:
        return client.get("/api/neighbor", params=query).json()["number"]

    assert [neighbor(number=2, state="open"), neighbor(number=29), neighbor(number=0, back=True)] == [5, 0, 29]
    assert neighbor(number=4, state="done", back=True) == 3 and neighbor(number=0, query="nothing") is None


def test_a_hostile_note_comes_as_text_with_signs_for_what_is_not_shown(connect):
    _, client = connect([HOSTILE, "12 34"])
    answer = client.get("/api/notes/0")
    text = "".join(part for part, _ in answer.json()["segments"])
    assert answer.headers["content-type"] == "application/json" and len(text) == len(HOSTILE)
    assert '<script>alert("x")</script>' in text and "␛[31mchills␛[0m ␇\ufffd1m \ufffdpneumonia\ufffd" in text
    assert "İ \U0001f600" in text and text.count("\ufffd") == 6
    assert not any(ord(character) < 32 or 0x202A <= ord(character) <= 0x202E for character in text)


def test_a_note_that_the_model_cannot_read_is_shown_and_can_get_codes(connect):
    _, client = connect(["12 34"])
    note = client.get("/api/notes/0").json()
    assert note["segments"] == [["12 34", []]] and note["codes"] == [] and "no words to read" in note["reason"]
    assert verdicts(decide(client, 0, "add", {"system": "icd9cm", "code": "486"})) == {"486": "add"}
    assert decide(client, 0, "done")["done"]


def test_a_note_of_five_megabytes_is_opened_and_predicted(connect):
    text = "fever and chills. " * 300_000
    _, client = connect([text])
    note = client.get("/api/notes/0").json()
    assert (
        "".join(part for part, _ in note["segments"]) == text and note["words"] == 900_000 and note["words_read"] == 50
    )
    (prediction,) = client.post("/predict", json={"texts": [text]}).json()["predictions"]
    assert prediction["words"] == 900_000


def test_twenty_requests_side_by_side_predict_each_note_once(connect, coder):
    calls = []

    class Counting:
        models = coder.models

        def try_predict(self, texts, *arguments, **options):
            calls.append(texts)
            time.sleep(0.05)
            return coder.try_predict(texts, *arguments, **options)

    session, client = connect()
    session.opened = OpenedNotes(Counting(), session.work_list, top=TOP)
    with ThreadPoolExecutor(20) as pool:
        notes = list(pool.map(lambda number: client.get(f"/api/notes/{number % 2}").json(), range(20)))
    assert all(notes[number] == notes[number % 2] for number in range(20))
    session.opened.close()
    assert 2 <= len(calls) <= 3 and len(calls) == len({text for (text,) in calls}), "the third is the next one ahead"
    codes = notes[0]["codes"]
    with ThreadPoolExecutor(20) as pool:
        actions = ["accept", "reject"] * 10
        answers = list(pool.map(lambda action: decide(client, 0, action, codes[0]), actions))
    assert len(answers) == 20 and len(session.ledger.path.read_text().splitlines()) == 21


def test_the_next_open_note_is_predicted_ahead(connect):
    session, client = connect()
    session.ledger.decide("n1", "done")
    client.get("/api/notes/0")
    session.opened._ahead.shutdown(wait=True)
    assert session.opened.summaries.keys() == {0, 2}


def test_a_note_whose_file_has_changed_is_refused(connect, write):
    _, client = connect()
    write(["fever"])
    answer = client.get("/api/notes/3")
    assert answer.status_code == 422 and "has changed since the review began" in answer.json()["detail"]


def test_an_undo_in_a_note_whose_file_has_changed_is_refused_and_undoes_nothing(connect, write):
    session, client = connect()
    session.ledger.decide("n3", "done")
    write(["fever"])
    answer = client.post("/api/undo", json={})
    assert answer.status_code == 422 and "has changed since the review began" in answer.json()["detail"]
    assert session.ledger.state.of("n3").done and session.ledger.state.last.number == 1


def test_a_failed_prediction_is_tried_again(coder, write):
    class Failing:
        fails = True

        def try_predict(self, *arguments, **options):
            if self.fails:
                raise RuntimeError("out of memory")
            return coder.try_predict(*arguments, **options)

    failing = Failing()
    opened = OpenedNotes(failing, WorkList(Sources([str(write(["fever"]))], Columns("text", "name"))))
    with pytest.raises(RuntimeError):
        opened.prediction(0)
    failing.fails = False
    assert opened.prediction(0).words == 1


def test_of_a_model_with_groups_of_codes_the_codes_are_reviewed(write):
    path = write(note_models.sentences(1))
    coder = Coder([note_models.any_model("mt_ram")])
    assert {code["head"] for code in coder.predict(note_models.sentences(1), top=2)[0].codes} > {"icd"}
    opened = OpenedNotes(coder, WorkList(Sources([str(path)], Columns("text", "name"))), top=2)
    assert [code["head"] for code in opened.prediction(0).codes] == ["icd", "icd"] and opened.summaries[0].codes == 2


def test_codes_are_searched(connect):
    _, client = connect()
    assert [code["code"] for code in client.get("/api/codes?query=description 486").json()] == ["486"]
    assert client.get("/api/codes").json() == [] and client.get(f"/api/codes?query={'x' * 201}").status_code == 422


def test_predictions_over_http_are_those_of_the_library(connect, coder):
    _, client = connect()
    texts = [note_models.note(7), "12 34", note_models.note(8)]
    first, second, third = client.post("/predict", json={"texts": texts, "evidence": True, "top": 2}).json()[
        "predictions"
    ]
    assert set(second) == {"error"} and "no words to read" in second["error"]
    for found, text in ((first, texts[0]), (third, texts[2])):
        (expected,) = coder.predict([text], evidence=True, top=2)
        assert found["evidence_method"] == expected.evidence_method and found["words"] == expected.words
        for code, other in zip(found["codes"], expected.codes, strict=True):
            assert code["probability"] == pytest.approx(other["probability"], abs=1e-6)
            assert code["spans"] == [list(span) for span in other["spans"]]
    assert (
        "spans" not in client.post("/predict", json={"texts": texts[:1], "top": 1}).json()["predictions"][0]["codes"][0]
    )
    assert client.post("/predict", json={"texts": []}).json() == {"predictions": []}
    assert client.post("/predict", json={"texts": texts, "top": 0}).status_code == 422


def test_thresholds_of_codes_come_over_http(connect, recipe):
    trained = note_models.trained(recipe)
    of_head = HeadCalibration(map=Identity(), code_thresholds=[1e-6] * len(trained.labels["icd"]))
    coder = Coder([trained], calibration=Calibration([{"icd": of_head}], {"icd": of_head}))
    _, client = connect(coder=coder)
    (found,) = client.post("/predict", json={"texts": [note_models.note(7)]}).json()["predictions"]
    assert found["codes"] and all(code["threshold"] == 1e-6 for code in found["codes"])


def test_openapi_describes_the_requests_and_the_token(connect):
    _, client = connect()
    described = client.get("/openapi.json").json()
    assert {"/predict", "/api/notes", "/api/notes/{number}/decisions"} <= described["paths"].keys()
    (scheme,) = described["components"]["securitySchemes"].values()
    assert scheme["in"] == "header" and scheme["name"] == "X-Medcode-Token"
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
