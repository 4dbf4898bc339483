"""Check before anything runs: params.yaml, the model's file, and whether the corpus is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medcode.config import corpora, models, recipes
from medcode.config.auto_recipe import candidates
from medcode.config.corpora.mimic3 import NO_EVIDENCE
from medcode.config.data import LabelSet
from medcode.config.files import load, read_yaml
from medcode.config.params import Params, Run, load_all
from medcode.config.recipes import ModelSettings
from medcode.config.section import Section
from medcode.errors import UserError, collect, nearest

NO_TITLES = "reference/titles/none.csv"  # a list without titles, because DVC takes no empty path
NO_SYNONYMS = "reference/synonyms/none.tsv"  # likewise
ALL_CODES = "reference/codes/all.csv"  # a list without codes, which stands for all


class Chosen(Section):
    """The keys that choose a model, checked apart so that a mistake in another key does not hide theirs."""

    label_set: LabelSet
    model: str
    encoder: str
    recipe: str
    tokenize: dict[str, Any]


class ChosenCorpus(Section):
    """The keys that choose a corpus and its options."""

    corpus: str
    corpora: dict[str, dict[str, Any]]


def model_file(folder: Path, model: str, params: Path) -> Path:
    """Return the file of a model.

    Args:
        folder: configs/models.
        params: the file that names the model, for the message.

    Raises:
        UserError: there is no such model, or it has no file.
    """
    if model not in models.names():
        raise UserError(f"{params}: model: there is no model '{model}'; {nearest(model, models.names())}")
    if not (path := folder / f"{model}.yaml").is_file():
        raise UserError(f"{path}: no such file; every model has one")
    return path


def check_run(params: Path, folder: Path) -> tuple[Params, list[ModelSettings]]:
    """Check the parameters and the model file of one run.

    Returns:
        The parameters, and the model with its recipe: one, or all that the data may choose with `recipe: auto`.

    Args:
        params: params.yaml.
        folder: configs/models.

    Raises:
        UserError: a line for each mistake.
    """
    collect(lambda: load_all(params), lambda: check_model(params, folder))
    all_params = load_all(params)
    return all_params, settings_of(all_params, params, folder)


def check_all(params: Path, folder: Path) -> None:
    """Check params.yaml, and the files of all models.

    Raises:
        UserError: a line for each mistake.
    """
    strays = sorted({path.stem for path in folder.glob("*.yaml")} - set(models.names()))
    lines = [f"{folder / stray}.yaml: there is no such model; {nearest(stray, models.names())}" for stray in strays]

    def check_strays() -> None:
        if lines:
            raise UserError(*lines)

    collect(
        lambda: check_run(params, folder),
        *(lambda name=name: recipes.check_file(model_file(folder, name, params), name) for name in models.names()),
        check_strays,
    )


def settings_of(run: Params | Chosen, params: Path, folder: Path) -> list[ModelSettings]:
    """Read the settings of the chosen model and recipe, or of each recipe that `auto` may choose.

    Raises:
        UserError: there is no such model or recipe, or a setting in it is wrong.
    """
    path = model_file(folder, run.model, params)
    file = read_yaml(path)
    in_file = file.get("recipes")
    # Recipes that are missing, empty or no mapping are a mistake, which `model_settings` reports.
    names = candidates(run.recipe, in_file) if in_file and isinstance(in_file, dict) else ["quick"]
    return [recipes.model_settings(file, path, run.model, name, run.label_set) for name in names]


def check_model(params: Path, folder: Path) -> None:
    """Check the chosen model and recipe, and that notes are tokenized as the model needs it.

    A model on subwords needs an encoder; a model on words must have none. A model may need a rule of words.

    Raises:
        UserError: a setting is wrong; the message says what to choose.
    """
    run = load(Chosen, params)
    chosen = settings_of(run, params, folder)[0].config
    uses_subwords, rule = chosen.uses_subwords, chosen.tokenize_rule
    if rule is not None and run.tokenize.get("rule") != rule:
        raise UserError(
            f"{params}: tokenize.rule: {run.model} reads what the rule {rule} makes of notes; set "
            f"-S model={run.model} -S tokenize.rule={rule}"
        )
    if uses_subwords and run.encoder == "none":
        raise UserError(
            f"{params}: encoder: {run.model} reads subwords and needs an encoder; choose one of encoders, for "
            f"instance -S model={run.model} -S encoder=scratch-tiny"
        )
    if not uses_subwords and run.encoder != "none":
        raise UserError(f"{params}: encoder: {run.model} reads words and has no encoder; set encoder: none")


def check_corpus_folder(params: Path, raw: Path) -> None:
    """Check that the corpus has a folder, unless the workflow makes it.

    Raises:
        UserError: there is no folder.
    """
    corpus = load(Run, params).corpus
    if not corpus.startswith(corpora.SYNTHETIC) and not (raw / corpus).is_dir():
        raise UserError(f"{raw / corpus}: no such folder; docs/DATA.md says how to get the corpus {corpus}")


def check_evidence(params: Path, raw: Path) -> None:
    """Check that the folder of annotations that the corpus's options may name is there, and no link.

    Raises:
        UserError: there is no folder, or a link stands for it. Within a dependency DVC follows links to files, not to
            folders, and would not see that the annotations have changed.
    """
    run = load(ChosenCorpus, params)
    evidence = run.corpora.get(run.corpus, {}).get("evidence", NO_EVIDENCE)
    key, folder = f"{params}: corpora.{run.corpus}.evidence", raw / run.corpus
    if evidence == NO_EVIDENCE or not folder.is_dir():  # `check_corpus_folder` reports a corpus that is not there
        return
    for part in Path(evidence).parts:
        folder /= part
        if folder.is_symlink():
            raise UserError(f"{key}: {folder} is a link, behind which DVC sees no changes; copy the folder there")
    if not folder.is_dir():
        raise UserError(f"{key}: there is no folder {folder}; docs/DATA.md says where the files are from")


def check_list(params: Path, key: str, path: str, otherwise: str) -> None:
    """Check that a list that the user names is there.

    Args:
        params: the file that names it, and the key there, for the message.
        key: likewise.
        path: of the list.
        otherwise: what to set without a list of one's own, for the message.

    Raises:
        UserError: there is no such file.
    """
    if not Path(path).is_file():
        raise UserError(f"{params}: {key}: there is no file '{path}'; {otherwise}")
