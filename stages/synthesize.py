"""Writes the embedded synthetic corpus in the file formats of MIMIC-III v1.4 and MIMIC-IV v2.2."""

from common import stage

from pathlib import Path

from medcode.config import Params
from medcode.corpora.synthetic import write_mimic3, write_mimic4


@stage(mimic3=Path, mimic4=Path)
def main(params: Params, mimic3: Path, mimic4: Path) -> None:
    write_mimic3(mimic3, params.synthesize)
    write_mimic4(mimic4, params.synthesize)


if __name__ == "__main__":
    main()
