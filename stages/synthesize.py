"""Write the embedded synthetic corpus in the file formats of MIMIC-III v1.4 and MIMIC-IV v2.2."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config
from medcode.corpora.synthetic import write_mimic3, write_mimic4


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    synthesize: config.Synthesize


@stage(Parameters, mimic3=Path, mimic4=Path)
def main(params: Parameters, mimic3: Path, mimic4: Path) -> None:
    write_mimic3(mimic3, params.synthesize)
    write_mimic4(mimic4, params.synthesize)


if __name__ == "__main__":
    main()
