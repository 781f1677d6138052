"""The reader of safetensors files, against bytes written by hand from the published format."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from recommender.data.errors import ArtifactError
from recommender.text.minilm.safetensors import read_safetensors

HEADER = (
    b'{"__metadata__":{"format":"pt"},'
    b'"a":{"dtype":"F32","shape":[2,3],"data_offsets":[6,30]},'
    b'"b":{"dtype":"I16","shape":[3],"data_offsets":[0,6]},'
    b'"none":{"dtype":"F64","shape":[0,7],"data_offsets":[30,30]},'
    b'"one":{"dtype":"U8","shape":[],"data_offsets":[30,31]}}   '
)
BODY = struct.pack("<3h", -1, 2, 300) + struct.pack("<6f", 0.0, 1.0, -2.5, 3.0, 1e30, -0.125) + b"\x07"


def write(path, header=HEADER, body=BODY, length=None):
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + body)
    return path


def one(**changes):
    """Return a header of one array of two floats, with changes to its entry."""
    return json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}).encode()


def test_reads_what_was_written_by_hand(tmp_path):
    arrays = read_safetensors(write(tmp_path / "x.safetensors"))
    assert list(arrays) == ["a", "b", "none", "one"]
    assert arrays["a"].dtype == np.float32
    assert arrays["a"].tolist() == [[0.0, 1.0, -2.5], [3.0, float(np.float32(1e30)), -0.125]]
    assert arrays["b"].dtype == np.int16
    assert arrays["b"].tolist() == [-1, 2, 300]
    assert arrays["none"].shape == (0, 7)
    assert arrays["one"].shape == ()
    assert arrays["one"] == 7
    assert not any(array.flags.writeable for array in arrays.values())


@pytest.mark.parametrize(
    ("header", "body", "length"),
    [
        (HEADER, BODY[:-1], None),
        (HEADER, BODY + b"\0", None),
        (HEADER, BODY, len(HEADER) - 1),  # spaces pad the header, so one less is still JSON
        (HEADER, BODY, 2**64 - 1),
        (b"", b"", None),
        (b"[1]", b"", None),
        (b"[" * 200_000, b"", None),
        (one(shape=[3]), bytes(8), None),
        (one(shape=[-2]), bytes(8), None),
        (one(data_offsets=[8, 0]), bytes(8), None),
        (one(data_offsets=None), bytes(8), None),
        (one(dtype="BF16", shape=[4]), bytes(8), None),
        (one(shape=[10**30, 0]), bytes(8), None),
    ],
)
def test_refuses_a_damaged_file_in_one_line(tmp_path, header, body, length):
    path = write(tmp_path / "x.safetensors", header, body, length)
    with pytest.raises(ArtifactError, match=r"x\.safetensors is damaged") as caught:
        read_safetensors(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(path.read_bytes()[:7])
    with pytest.raises(ArtifactError, match="damaged"):
        read_safetensors(path)
    with pytest.raises(ArtifactError, match=r"none\.safetensors is missing"):
        read_safetensors(tmp_path / "none.safetensors")


def test_any_changed_byte_of_the_header_is_read_or_refused(tmp_path):
    whole = struct.pack("<Q", len(HEADER)) + HEADER
    rng = np.random.default_rng(0)
    refused = 0
    path = tmp_path / "x.safetensors"
    for _ in range(300):
        changed = bytearray(whole)
        changed[rng.integers(len(changed))] = rng.integers(256)
        path.write_bytes(bytes(changed) + BODY)
        try:
            read_safetensors(path)
        except ArtifactError:
            refused += 1
    assert refused > 150  # the rest changed a name, the metadata, white space or a type of the same size


def test_reads_what_the_original_library_writes(tmp_path):
    original = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    dtypes = ("bool", "uint8", "int8", "uint16", "int16", "float16", "uint32", "int32", "float32", "uint64", "int64")
    arrays = {name: (rng.normal(size=(3, 5)) * 50).astype(name) for name in (*dtypes, "float64")}
    original.save_file(arrays, tmp_path / "x.safetensors", metadata={"a": "b"})
    found = read_safetensors(tmp_path / "x.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
