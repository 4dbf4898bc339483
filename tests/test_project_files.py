"""CONTRIBUTING.md, CHANGELOG.md and CITATION.cff agree with the project."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

import medcode

EXAMPLES = {"model": "caml", "corpus": "codiesp", "stage": "train", "study": "jams", "paper": "jams", "recipe": "quick"}


def test_the_package_has_the_version_of_the_project(root):
    assert medcode.__version__ == version(root)


def version(root) -> str:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]


def test_files_and_targets_named_in_contributing_exist(root):
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = re.sub(r"<(\w+)>", lambda match: EXAMPLES[match[1]], text)
    places = set(re.findall(r"\b(?:src|tests|stages|configs|studies|docs|tools|benchmarks)/[\w./-]*\w", text))
    assert len(places) > 25
    assert [place for place in sorted(places) if not (root / place).exists()] == []
    targets = set(re.findall(r"`(?:\S+; )?make ([a-z-]+)", text)) | set(
        re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    )
    make_targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert {"setup", "repro", "test-fast"} <= targets <= make_targets


@pytest.mark.parametrize("change", ["a model", "a corpus", "a metric", "a stage", "a recipe", "a study", "a figure"])
def test_contributing_explains_how_to_change(root, change):
    row = rf"^\| {change} \| [^|]+ \| [^|]*(?:make|pytest|dvc)[^|]* \|$"
    assert re.search(row, (root / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_changelog_lists_this_version_below_unreleased(root):
    heads = re.findall(r"^## \[(.+?)\]", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heads[:2] == ["Unreleased", version(root)]


class OnceEach(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, as readers of CITATION.cff do."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"{keys} at line {node.start_mark.line + 1}"
        return super().construct_mapping(node, deep)


def test_the_citation_has_this_version_and_the_papers_of_models_and_trainings(root):
    citation = yaml.load((root / "CITATION.cff").read_text(encoding="utf-8"), OnceEach)
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == version(root)
    models = " ".join((root / "docs/MODELS.md").read_text(encoding="utf-8").split())
    named = set(re.findall(r"\(([A-Z][^()]*?), \"([^\"]+)\"", models))
    for module in (root / "src/medcode/training").glob("*.py"):
        text = " ".join(module.read_text(encoding="utf-8").split())
        named |= set(re.findall(r"Source: ([A-Z][^()\"]*?), \"([^\"]+)\"", text))
    cited = {reference["title"]: reference for reference in citation["references"]}
    assert {title for _, title in named} == cited.keys()
    for authors, title in named:
        first = cited[title]["authors"][0]["family-names"]
        year = re.search(r"\d{4}$", authors)
        assert authors.startswith(first) and (year is None or int(year[0]) == cited[title]["year"])


def test_the_slides_are_explained_where_they_are_first_named(root):
    text = (root / "docs/STUDIES.md").read_text()
    first = text.index("the slides")
    assert first < text.index("The slides are those of a talk") < first + 2_000
    before_studies = (root / "README.md").read_text()
    assert "slides" not in before_studies
