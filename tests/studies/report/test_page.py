"""The report page of a study: its content, and rendering and sorting in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from PIL import Image
from study_results import TINY, pretend, simulated_study, write_study

from medcode.studies.definition.study import load
from medcode.studies.report import comparison_tables, figures, page
from medcode.studies.results import comparisons, run_results

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> str:
    tiny = simulated_study(tmp_path_factory.mktemp("rendered"))
    runs = run_results.read(tiny)
    tables, tests = comparison_tables.build(tiny, runs), comparisons.compare_rows(tiny, runs)
    return page.render(tiny, tables, tests, figures.draw(tiny, tables, runs), runs, run_results.settings(tiny))


def test_the_page_is_self_contained(rendered):
    assert not re.findall(r"""(?:src|href)=["'](?!#)|@import|url\((?!#)""", rendered)

    class Balanced(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.void = [], {"meta", "br", "path", "use", "line", "rect", "circle"}

        def handle_starttag(self, tag, attrs):
            if tag not in self.void:
                self.open.append(tag)

        def handle_endtag(self, tag):
            if tag not in self.void:
                assert self.open.pop() == tag

    parser = Balanced()
    parser.feed(rendered)
    assert parser.open == []


def test_the_page_marks_published_numbers_of_another_corpus(rendered):
    assert "They cannot be compared with one another" in rendered
    assert re.search(r'<td class="number elsewhere">87\.5', rendered)
    assert not re.search(r'<td class="number elsewhere">[^<]*±', rendered)


def test_every_system_and_comparison_has_sort_keys_for_its_columns(rendered):
    tables = list(tables_of(rendered))
    assert len(tables) == rendered.count('<table class="sortable') > 1
    for head, *bodies in tables:
        columns = len(re.findall(r"<th ", head))
        assert columns and bodies
        for keys in bodies:
            assert len(json.loads(keys)) == columns


def tables_of(text):
    for table_html in re.findall(r'<table class="sortable(?: wide)?">(.*?)</table>', text, re.DOTALL):
        unescaped = table_html.replace("&#34;", '"').replace("&lt;", "<").replace("&amp;", "&").replace("&#39;", "'")
        yield table_html.split("</thead>")[0], *re.findall(r'data-keys="(\[.*?\])"[^>]*>', unescaped)


def test_the_page_describes_how_rows_were_trained(rendered):
    assert "CPU (test)" in rendered and "abc123" in rendered and "1,234" in rendered
    assert rendered.count('<td class="number">2.7 min</td>') == 3
    assert "model: caml_wide" in rendered and "engine.threads: 1" in rendered
    assert "last epoch (seed 1); 3 epochs without a better f1_micro (seed 2)" in rendered
    assert "3 of 6 trainings ended at the last epoch" in rendered and "Ours are small: recipe quick" in rendered


def test_a_revision_is_a_link_or_a_git_command(tiny):
    runs = run_results.read(tiny)
    for seed_runs in runs.values():
        for run in seed_runs:
            run.environment["commit"] = "0123456789+"
    tables, settings = comparison_tables.build(tiny, runs), run_results.settings(tiny)
    without = page.render(tiny, tables, [], {}, runs, settings)
    assert '<code title="git show 0123456789, and changes that were not committed">0123456789+</code>' in without
    linked = page.render(tiny, tables, [], {}, runs, settings, "https://github.com/a/b")
    assert '<a href="https://github.com/a/b/commit/0123456789">0123456789+</a>' in linked


def test_settings_that_differ_between_label_sets_are_shown_for_each(studies):
    rows = {"caml": {"title": "CAML", "label_sets": ["top50", "full"]}, "cnn": {"title": "CNN"}}
    write_study(studies, "tiny", TINY, rows=rows, comparisons=[])
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45, "cnn": 0.3})
    path = studies / "tiny/settings/full/caml/1.json"
    path.write_text(path.read_text().replace('"recipe": "quick"', '"recipe": "slow"'))
    runs = run_results.read(study)
    text = page.render(study, comparison_tables.build(study, runs), [], {}, runs, run_results.settings(study))
    assert re.search(r"CAML, top50</th><td>.*recipe: quick", text) and re.search(r"CAML, full</th>.*recipe: slow", text)
    assert re.search(r"CNN</th><td>.*recipe: quick", text)
    assert [row["recipe"] for row in run_results.record(study, runs, run_results.settings(study))["rows"]][:2] == [
        "quick",
        "slow",
    ]


@pytest.fixture(scope="module")
def browser():
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    return path


def run(browser, *options):
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_a_browser_renders_the_page(browser, rendered, tmp_path):
    (tmp_path / "report.html").write_text(rendered)
    shot = tmp_path / "shot.png"
    run(browser, "--window-size=1366,2400", f"--screenshot={shot}", f"file://{tmp_path}/report.html")
    image = Image.open(shot).convert("L")
    assert image.size == (1366, 2400)
    dark = sum(image.histogram()[:128]) / (1366 * 2400)
    assert 0.005 < dark < 0.2, "an empty page, or a black one"


def test_clicking_a_heading_sorts_the_table(browser, rendered, tmp_path):
    click = """<script>
      const table = document.querySelector("table.sortable");
      table.querySelectorAll("thead button")[CLICKED].click();
      document.title = [...table.tBodies].map(body => body.querySelector("th").textContent.trim()).join("|");
    </script></body>"""
    (tmp_path / "report.html").write_text(rendered.replace("</body>", click.replace("CLICKED", "4")))
    dom = run(browser, "--dump-dom", f"file://{tmp_path}/report.html")
    order = re.search(r"<title>(.*?)</title>", dom)[1].split("|")
    # Our rows are sorted among themselves; rows of another corpus come after them.
    assert order[:3] == ["CAML, wider", "CAML", "CNN"] and "MultiResCNN" in order[3:]
    assert len(order) == 14


@pytest.mark.parametrize("width", [1366, 1280])
def test_the_widest_table_fits_a_laptop_screen(browser, studies, tmp_path, width):
    rows = {"bigru_label_attention": {"title": "BiGRU + MTL + RAM (MT-RAM)", "published": "table2/CAML"}}
    changes = {"paper": "jams", "tables": ["table2"], "rows": rows, "comparisons": [], "corpus": "mimic4"}
    write_study(studies, "tiny", TINY, **changes)
    pretend(study := load(studies, "tiny"), {"bigru_label_attention": 0.45})
    runs = run_results.read(study)
    tables = comparison_tables.build(study, runs)
    text = page.render(study, tables, [], {}, runs, run_results.settings(study))
    measure = """<script>
      document.title = [...document.querySelectorAll(".card")].map(card => card.scrollWidth - card.clientWidth).join();
    </script></body>"""
    (tmp_path / "report.html").write_text(text.replace("</body>", measure))
    dom = run(browser, f"--window-size={width},900", "--dump-dom", f"file://{tmp_path}/report.html")
    assert set(re.search(r"<title>(.*?)</title>", dom)[1].split(",")) == {"0"}


def test_the_page_can_be_printed(browser, rendered, tmp_path):
    (tmp_path / "report.html").write_text(rendered)
    run(browser, f"--print-to-pdf={tmp_path}/report.pdf", f"file://{tmp_path}/report.html")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
