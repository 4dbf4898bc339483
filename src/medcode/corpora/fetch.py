"""Fetching an open corpus: from its public archive, or from a local copy.

Every file is compared with the digests below before anything is written to data/raw.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path, PurePosixPath

from medcode import download
from medcode.config import corpora
from medcode.errors import UserError, nearest

# CodiEsp v4, Zenodo doi 10.5281/zenodo.3837305, CC BY 4.0.
CODIESP_URL = "https://zenodo.org/records/3837305/files/codiesp.zip"
CODIESP = {  # a file: its SHA-256; a folder: that of its sha256sum listing, sorted by name
    "train/trainD.tsv": (1, "613208a405a38042476451e74cf1d4d95d569d7a247a3fda40474d694193b49c"),
    "train/trainP.tsv": (1, "30038443d815423623eb20537bd2af72cbab43810e538b214f511ec951fba7ea"),
    "train/trainX.tsv": (1, "a84da4744413fef954a09b59b91b4bd4b774af7e4f6fdb6d857c45596f20ecb9"),
    "train/text_files": (500, "9a46a74b40696aa41ae85a453ee95da68217fbd0e8eeb643534e3af552b490bc"),
    "train/text_files_en": (500, "7011328ea3ba58468549330eb7c3720c65cf241dadb72e21f88cbc1adfadccdc"),
    "dev/devD.tsv": (1, "15ef44a5e5806c2e5ce657df00fde7b6063fb58f708990db212bc93f7ea5551b"),
    "dev/devP.tsv": (1, "9f144f312968313abb350fe35b8dd5a68a7ee3943dd1388c900e2352b13f660e"),
    "dev/devX.tsv": (1, "0085171947bfe045fcd6b243d7de6df09001a9fa28d201dd1ebf80b7b1329088"),
    "dev/text_files": (250, "290f55078304b2c87a075b85e26190269610e87517fb60057f3b45e51bea147c"),
    "dev/text_files_en": (250, "ec7e469e09e06488f7dc3cd621c99b79c033c298762cafe82e35abd5a3976ee0"),
    "test/testD.tsv": (1, "8e1766defb958a56d774af586432790ba5e644f8839559a7e70dad3987bf0690"),
    "test/testP.tsv": (1, "5fdd25802e20a956f71c9552509b4ca158d6c7156a5e8a93fad1dcfdfc2f7376"),
    "test/testX.tsv": (1, "e6149fa6c818ae3b6ac70bde28d596de9efe992144e6c98beb3c0955f3f0e73f"),
    "test/text_files": (250, "f7b9b0dd68e9f118f01eb06ee1ded57ec696b170fd34a052d0d81c9c8a1bdddd"),
    "test/text_files_en": (250, "2cc1acd4b18d1d31d9dce69f9d711c74b860f2c9527bda9b87a8a31952287775"),
    "background/text_files": (2751, "778efb282b40a33b4b262aa0c218dbb39a5ae8a33e7c1e1b099e936e9d1ac7a5"),
    "background/text_files_en": (2751, "0a8e3d7b3c87459d8a364afb9fefa201876562fac5cadbe9e862563d804b19df"),
}
# CANTEMIST v6, Zenodo doi 10.5281/zenodo.3978041, CC BY 4.0. Texts are those of cantemist-norm, which every set has.
CANTEMIST_URL = "https://zenodo.org/records/3978041/files/cantemist.zip"
CANTEMIST = {
    "train-set/cantemist-coding/train-coding.tsv": (
        1,
        "9e1c06d2e39d180ea87dcf6d7710a96c51ca2aaf9f91fae2e62f7a13fdc9b40c",
    ),
    "train-set/cantemist-norm": (1002, "7d49029e6711b415a0ca8859f0c063cd5d79804775a1c7fd302079a2a75e002a"),
    "dev-set1/cantemist-coding/dev1-coding.tsv": (
        1,
        "5d88c43c8f117cf39fb3165edcb19570c40ce376c672edfa4539b387cce74711",
    ),
    "dev-set1/cantemist-norm": (500, "db1e1bdb3645fe35796e30ad313f39ad795339ddd3f64e1fdb98e89ffdbc206c"),
    "dev-set2/cantemist-coding/dev2-coding.tsv": (
        1,
        "4cb7bda79e571851587768c505013dc5382f6a6ee5830084aad6d6044d03c988",
    ),
    "dev-set2/cantemist-norm": (500, "3a92f5eacf56e38e9b14b1f8e37847116946355d0d669afd6e4a9f6dd9274388"),
    "test-set/cantemist-coding/test-coding.tsv": (
        1,
        "e85b41c1e61ae8ab58302f0be66c388aa8ea490d077e44a2f4d80db6c0d7ee0c",
    ),
    "test-set/cantemist-norm": (600, "bb7005c915cdca122d7e9282c3fffa75dd7c1c2612bea431ffcedb20aa4e8623"),
}
ARCHIVES = {"codiesp": (CODIESP_URL, CODIESP), "cantemist": (CANTEMIST_URL, CANTEMIST)}

_NOT_FETCHABLE = {
    "mimic3": "needs credentialed access to physionet.org/content/mimiciii/1.4; link NOTEEVENTS, DIAGNOSES_ICD and "
    "PROCEDURES_ICD (.csv.gz or .csv) there",
    "mimic4": "needs credentialed access to physionet.org/content/mimiciv/2.2 and /mimic-iv-note/2.2; link "
    "hosp/diagnoses_icd, hosp/procedures_icd and note/discharge (.csv.gz or .csv) there",
    "synthetic-mimic3": "is made by the pipeline itself (`dvc repro`)",
    "synthetic-mimic4": "is made by the pipeline itself (`dvc repro`)",
    "jsonl": "is your own: put your *.jsonl files there",
    "table": "is your own: put your tables there, and name their columns in params.yaml under corpora.table",
    "fhir": "is your own: put the *.ndjson files of your export there",
}

Files = dict[str, download.Reader]
_CASE = re.compile(r"[\w.-]+\.(?:txt|ann)")


def fetch(corpus: str, to: Path, source: Path | None = None) -> int:
    """Fetch a corpus, verify it, and install it completely or not at all.

    Args:
        to: folder of the corpus; an existing one is replaced.
        source: a folder or a zip file to read instead of the public archive.

    Returns:
        The number of files.

    Raises:
        UserError: the corpus cannot be fetched; the archive cannot be reached or read; a file is missing or differs.
    """
    if corpus in _NOT_FETCHABLE:
        raise UserError(f"{to}: corpus '{corpus}' {_NOT_FETCHABLE[corpus]}; only {', '.join(ARCHIVES)} can be fetched")
    if corpus not in corpora.names():
        raise UserError(f"unknown corpus '{corpus}'; {nearest(corpus, corpora.names())}")
    if corpus not in ARCHIVES:
        raise UserError(f"{to}: corpus '{corpus}' has no archive that is listed here; put its files there by hand")
    url, expected = ARCHIVES[corpus]
    if source is not None:
        return _install(Path(source), expected, to)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{corpus}.") as folder:
        remedy = f"fetch it with a browser and give FROM={PurePosixPath(url).name}"
        return _install(download.retrieve(url, Path(folder), "archive.zip", remedy), expected, to)


def _install(source: Path, expected: dict[str, tuple[int, str]], to: Path) -> int:
    return download.put(_verified(_files(source, expected), expected, source), to)


def _files(source: Path, expected: dict[str, tuple[int, str]]) -> Files:
    """List the files of a folder or a zip file by their name within the corpus, which may lie at any depth."""
    files = download.listing(source)
    first = next(iter(expected))
    prefixes = sorted((name.removesuffix(first) for name in files if f"/{name}".endswith(f"/{first}")), key=len)
    if not prefixes:
        raise UserError(f"{source}: not the corpus: there is no {first} in it")
    return {name.removeprefix(prefixes[0]): read for name, read in files.items() if name.startswith(prefixes[0])}


def _verified(files: Files, expected: dict[str, tuple[int, str]], source: Path) -> dict[str, bytes]:
    """Read and verify the files of the corpus; other files are ignored."""
    contents = {}
    for group, (count, digest) in expected.items():
        is_file = group in files
        names = [group] if is_file else sorted(name for name in files if _belongs(name, group))
        if len(names) != count:
            raise UserError(f"{source}: {group}: found {len(names)} files, expected {count}")
        group_contents = {name: download.read(files[name], source, group) for name in names}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in group_contents.items()}
        listing = "".join(f"{file_digest}  {PurePosixPath(name).name}\n" for name, file_digest in digests.items())
        actual_digest = digests[group] if is_file else hashlib.sha256(listing.encode()).hexdigest()
        if actual_digest != digest:
            difference = "the file differs" if is_file else "a file in it differs"
            raise UserError(f"{source}: {group}: {difference} from the published one (SHA-256); fetch the corpus again")
        contents.update(group_contents)
    return contents


def _belongs(name: str, group: str) -> bool:
    path = PurePosixPath(name)
    return str(path.parent) == group and _CASE.fullmatch(path.name) is not None
