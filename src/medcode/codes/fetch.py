"""Fetching the official files of codes: from CMS and AHRQ, or from a local folder or zip file.

They are works of the US Government, in the public domain; AHRQ asks to be cited for CCS. Every file is compared with
its digest below before anything is written.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path, PurePosixPath

from medcode import download
from medcode.codes import sources
from medcode.errors import UserError

ARCHIVES = (
    "https://hcup-us.ahrq.gov/toolssoftware/ccs/Single_Level_CCS_2015.zip",
    "https://www.cms.gov/medicare/coding/icd10/downloads/2018-icd-10-cm-general-equivalence-mappings.zip",
    "https://www.cms.gov/medicare/coding/icd10/downloads/2018-icd-10-pcs-general-equivalence-mappings.zip",
    "https://www.cms.gov/medicare/coding/icd9providerdiagnosticcodes/downloads/icd-9-cm-v32-master-descriptions.zip",
)
DIGESTS = {  # SHA-256
    sources.CCS_DIAGNOSES: "1ea61ec6161076266287e77596023aab89cbfd334f851ec9ea7ea25bc5a0f70b",
    sources.CCS_DIAGNOSIS_DESCRIPTIONS: "aa893f3af7639b197a6f1221ef870e3299c7a370a902c83c023fc81c1d479721",
    sources.CCS_PROCEDURES: "cc4b451919366ea9e21d5bfcc2cfa129c3c264f577f242fb1c3ba78e19df1197",
    sources.CCS_PROCEDURE_DESCRIPTIONS: "f74a3a87944ebbc861747939c7e03ea77d4ef9909d7c830a2023a292d8a7bdd0",
    sources.DIAGNOSIS_DESCRIPTIONS: "37fee8081daddd6344005890bfeb2d77b18a67e68ce4ed1c1797964b5f554ee9",
    sources.PROCEDURE_DESCRIPTIONS: "6e2b5ae376afecee0872bc71df89d8e1acf1ce8ea09332037fe8c5e47ad77722",
    "2018_I9gem.txt": "44f4079c698efa2c0a8cc159f70075cf6cf23277fdd35ae3416b2bc516652ce3",
    "2018_I10gem.txt": "fe679ddbdc2d3e2275574299ca8c2a5e21e0143136a6ae6290cc7dcec1042f2b",
    "gem_i9pcs.txt": "818fa8414ea43f8e523d5d87d3ba3033c111a9246ed794d2e59c70767b145c44",
    "gem_pcsi9.txt": "81594417f81fb88f722d3074246e5537398d2cd6863118112244d21cfb174b2b",
}


def fetch(to: Path, source: Path | None = None) -> int:
    """Fetch the official files, verify them, and write them into a folder, all or none.

    Args:
        to: the folder; an existing one is replaced.
        source: a folder or a zip file to read instead. Files are found by name at any depth, also inside zip files in
            the folder.

    Returns:
        The number of files.

    Raises:
        UserError: an archive cannot be reached or read; a file is missing or differs.
    """
    if source is not None:
        return download.put(_verified(source), to)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".reference.") as folder:
        for url in ARCHIVES:
            remedy = f"fetch it and the {len(ARCHIVES) - 1} others with a browser (docs/DATA.md) and give FROM=folder"
            download.retrieve(url, Path(folder), PurePosixPath(url).name, remedy)
        return download.put(_verified(Path(folder)), to)


def _verified(source: Path) -> dict[str, bytes]:
    readers_of: dict[str, list[download.Reader]] = {name: [] for name in DIGESTS}
    files = download.listing(source)
    _collect_readers(files, readers_of)
    if source.is_dir():
        for name in files:
            if name.lower().endswith(".zip"):
                _collect_readers(download.listing(source / name), readers_of)
    missing = [name for name, readers in readers_of.items() if not readers]
    if missing:
        n_more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{source}: there is no '{missing[0]}' in it{n_more}; docs/DATA.md lists the files")
    contents = {}
    for name, readers in readers_of.items():
        for content in (download.read(reader, source, name) for reader in readers):
            if hashlib.sha256(content).hexdigest() == DIGESTS[name]:
                contents[name] = content
                break
        else:
            raise UserError(f"{source}: {name}: the file differs from the published one (SHA-256)")
    return contents


def _collect_readers(files: dict[str, download.Reader], readers_of: dict[str, list[download.Reader]]) -> None:
    for path, reader in files.items():
        name = PurePosixPath(path).name
        if name in readers_of:
            readers_of[name].append(reader)
