"""Parameters: what params.yaml and configs/models may say, checked strictly before anything runs.

Every section has its class in this package; so have the options of each model (`config.models`) and of each corpus
(`config.corpora`). A setting that the papers choose by label set is written as a mapping, `{top50: 256, full: 512}`.
"""

from __future__ import annotations

from medcode.config.data import Ccs, Gem, LabelSet, Open, Reference, Split, Synthesize, Tokenize, WordVectors
from medcode.config.encoders import EncoderSource, Pretrain, Scratch, Subword
from medcode.config.files import by_label_set, for_label_set, load, read_all, read_yaml, size_of
from medcode.config.learning import (
    Batches,
    CalibrationMethod,
    Evaluation,
    Explain,
    Machine,
    Measuring,
    Run,
    Scoring,
    Thresholds,
    Training,
    Tuning,
)
from medcode.config.params import Params, load_all
from medcode.config.recipes import ModelSettings, MonitorName, Recipe, configure, load_model
from medcode.config.section import Count, Number, Positive, Section, Share, System, build

__all__ = [
    "Batches",
    "CalibrationMethod",
    "Ccs",
    "Count",
    "EncoderSource",
    "Evaluation",
    "Explain",
    "Gem",
    "LabelSet",
    "Machine",
    "Measuring",
    "ModelSettings",
    "MonitorName",
    "Number",
    "Open",
    "Params",
    "Positive",
    "Pretrain",
    "Recipe",
    "Reference",
    "Run",
    "Scoring",
    "Scratch",
    "Section",
    "Share",
    "Split",
    "Subword",
    "Synthesize",
    "System",
    "Thresholds",
    "Tokenize",
    "Training",
    "Tuning",
    "WordVectors",
    "build",
    "by_label_set",
    "configure",
    "for_label_set",
    "load",
    "load_all",
    "load_model",
    "read_all",
    "read_yaml",
    "size_of",
]
