"""Options of the corpora, one file per format; a corpus is found by its name.

`synthetic-mimic3` has the format, and so the options, of `mimic3`. Options are separate from the readers so that
params.yaml can be checked without loading pandas.
"""

from __future__ import annotations

import importlib
import pkgutil

from medcode.config.section import Section
from medcode.errors import UserError, nearest

SYNTHETIC = "synthetic-"  # corpora that the workflow makes in the format of another corpus
SYNTHETIC_CORPORA = ("synthetic-mimic3", "synthetic-mimic4")


def names() -> list[str]:
    """List the corpora as spelled in params.yaml, synthetic ones first."""
    return [*SYNTHETIC_CORPORA, *sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))]


def module_of(corpus: str) -> str:
    """Return the module name of a corpus, shared by its reader and its options.

    Raises:
        UserError: there is no such corpus; the message names the nearest.
    """
    if corpus not in names():
        raise UserError(f"corpus: there is no '{corpus}'; {nearest(corpus, names())}")
    return corpus.removeprefix(SYNTHETIC).replace("-", "_")


def find(corpus: str) -> type[Section]:
    """Return the class of a corpus's options.

    Raises:
        UserError: there is no such corpus; the message names the nearest.
    """
    return importlib.import_module(f"{__name__}.{module_of(corpus)}").Options
