"""Matrices of zeros and ones in canonical CSR form: conversion, writing and reading."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO

import numpy as np
from scipy import sparse

from medcode import io

UNIX = 3  # the system that zip headers name
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that zip headers can hold
ZIP_2 = 20  # version 2.0 of the format, which has all that is used here
PERMISSIONS = 0o600 << 16


def as_binary_csr(matrix: sparse.spmatrix | sparse.sparray | np.ndarray) -> sparse.csr_array:
    """Convert a 0/1 matrix to canonical CSR [documents, labels]: only ones are stored, columns ascend in each row.

    Raises:
        ValueError: an entry is neither 0 nor 1.
    """
    result = sparse.csr_array(matrix)
    if not result.has_canonical_format or not result.data.all():
        result = result.copy()
        result.sum_duplicates()
        result.eliminate_zeros()
    if not (result.data == 1).all():
        raise ValueError("gold labels must be 0 or 1")
    return result


def write(path: str | os.PathLike, matrix: sparse.csr_matrix) -> None:
    """Write a file that `scipy.sparse.load_npz` reads. Its bytes depend on the matrix alone.

    `scipy.sparse.save_npz` leaves the zip headers to Python and the compression to zlib, and both differ between
    versions. So the headers are set here, and nothing is compressed.
    """
    arrays = {
        "indices": matrix.indices,
        "indptr": matrix.indptr,
        "format": np.array(b"csr"),
        "shape": np.array(matrix.shape, dtype=np.int64),
        "data": matrix.data,
    }
    with io.atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", EARLIEST)
            member.create_system, member.create_version, member.extract_version = UNIX, ZIP_2, ZIP_2
            member.external_attr = PERMISSIONS
            archive.writestr(member, content.getvalue(), zipfile.ZIP_STORED)


def read(path: str | os.PathLike) -> sparse.csr_matrix:
    """Read a matrix that `write` has written.

    Raises:
        OSError: there is no such file.
        ValueError, KeyError, zipfile.BadZipFile: it is damaged.
    """
    with open(path, "rb") as file:
        return sparse.load_npz(file).tocsr()
