"""The synthetic corpus: invented admissions in the file formats of MIMIC-III v1.4 and MIMIC-IV v2.2.

`world` samples the admissions and their codes, `notes` writes the texts, and `mimic3` and `mimic4` write the tables.
The medical knowledge is in the YAML files of `facts`. No real person is described.
"""

from medcode.corpora.synthetic.mimic3 import write_mimic3
from medcode.corpora.synthetic.mimic4 import write_mimic4

__all__ = ["write_mimic3", "write_mimic4"]
