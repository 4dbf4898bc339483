"""The synthetic corpus: invented admissions in the file formats of MIMIC-III v1.4 and MIMIC-IV v2.2.

`world` draws what people have and the codes that coders gave them, `notes` writes about it, `mimic3` and `mimic4` lay
both out in tables. What they know of medicine is in the YAML files of `facts`. Nobody real is described.
"""

from medcode.corpora.synthetic.mimic3 import write_mimic3
from medcode.corpora.synthetic.mimic4 import write_mimic4

__all__ = ["write_mimic3", "write_mimic4"]
