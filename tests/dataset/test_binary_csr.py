"""Files of 0/1 matrices, whose bytes do not depend on the environment."""

from __future__ import annotations

import hashlib
import struct
import zipfile

import numpy as np
import pytest
from scipy import sparse

from medcode.dataset import binary_csr

MATRIX = sparse.csr_matrix(np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype=np.uint8))
NAMES = ["indices.npy", "indptr.npy", "format.npy", "shape.npy", "data.npy"]
JANUARY_1980 = (0, (1 << 5) | 1)  # time and date as MS-DOS writes them


def test_scipy_reads_a_written_file(tmp_path):
    binary_csr.write(tmp_path / "labels.npz", MATRIX)
    for read in (binary_csr.read(tmp_path / "labels.npz"), sparse.load_npz(tmp_path / "labels.npz")):
        assert (read.format, read.dtype, read.shape) == ("csr", np.uint8, (3, 3))
        assert (read.indices.dtype, read.indptr.dtype) == (MATRIX.indices.dtype, MATRIX.indptr.dtype)
        np.testing.assert_array_equal(read.toarray(), MATRIX.toarray())


def test_a_file_written_by_scipy_is_read(tmp_path):
    sparse.save_npz(tmp_path / "labels.npz", MATRIX)
    assert (binary_csr.read(tmp_path / "labels.npz") != MATRIX).nnz == 0


def test_headers_do_not_depend_on_the_python_version(tmp_path):
    binary_csr.write(tmp_path / "labels.npz", MATRIX)
    content = (tmp_path / "labels.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "labels.npz") as archive:
        members = archive.infolist()
    assert [member.filename for member in members] == NAMES
    place = content.index(b"PK\x01\x02")
    for member in members:
        size, name = member.file_size, len(member.filename)
        # Signature, version needed, flags, method, time, date; then, after the checksum, sizes and lengths.
        local = struct.unpack_from("<4s5H3I2H", content, member.header_offset)
        assert local[:6] == (b"PK\x03\x04", 20, 0, zipfile.ZIP_STORED, *JANUARY_1980)
        assert local[7:] == (size, size, name, 0)
        # Signature, version and system of the writer, version needed, flags, method, time, date; the rest likewise.
        central = struct.unpack_from("<4s2B5H3I5H2I", content, place)
        assert central[:8] == (b"PK\x01\x02", 20, 3, 20, 0, zipfile.ZIP_STORED, *JANUARY_1980)
        assert central[9:] == (size, size, name, 0, 0, 0, 0, 0o600 << 16, member.header_offset)
        place += 46 + name


def test_the_bytes_do_not_depend_on_the_python_version(tmp_path):
    binary_csr.write(tmp_path / "labels.npz", MATRIX)
    digest = hashlib.sha256((tmp_path / "labels.npz").read_bytes()).hexdigest()
    assert digest == "7190dde722505c2ebd0ebcd7335c0d79f0f7ba90bb37625ba9e5b4f42d38f932"


def test_any_sparse_form_is_converted_to_canonical_csr():
    twice = sparse.csr_matrix((np.array([1, 0, 1], np.uint8), ([0, 0, 1], [2, 1, 0])), shape=(2, 3))
    for matrix in (twice, twice.toarray(), sparse.coo_array(twice)):
        binary = binary_csr.as_binary_csr(matrix)
        assert (binary.indices.tolist(), binary.indptr.tolist()) == ([2, 0], [0, 1, 2])
    with pytest.raises(ValueError, match="must be 0 or 1"):
        binary_csr.as_binary_csr(np.array([[2, 0]]))
