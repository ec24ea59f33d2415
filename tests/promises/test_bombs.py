"""Small files that would be large in memory: refused before they are, in the time that their bytes take."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from labdaq import files
from labdaq.errors import LabdaqError
from labdaq.pipeline.suite import load_suite
from tests.promises.peak import Peak

TERA = 1 << 40
GROWTH_NBYTES = 300 << 20
NPY = b"\x93NUMPY\x01\x00"


def npy_header(shape):
    """The head of an array that has so many numbers, and not one of them."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return NPY + struct.pack("<H", len(text)) + text.encode()


def lying_npz(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", npy_header((TERA,)))


def zeros_npz(path):
    """A terabyte of zeros would be a gigabyte here; four gigabytes are enough to be noticed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("data.npy", "w", force_zip64=True) as file:
            file.write(npy_header((1 << 29,)))
            for _ in range(16):
                file.write(bytes(1 << 20))


def nested_yaml(path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines))


def lying_tar(path):
    with tarfile.open(path, "w") as archive:
        about = tarfile.TarInfo("0_0.parquet")
        about.size = 100
        archive.addfile(about, io.BytesIO(b"PAR1" + bytes(88) + struct.pack("<I4s", 1 << 31, b"PAR1")))


def lying_parquet(path):
    path.write_bytes(b"PAR1" + bytes(88) + struct.pack("<I4s", (1 << 32) - 1, b"PAR1"))


def lying_guppi(path):
    cards = {"TBIN": 1e-6, "OBSNCHAN": 1 << 20, "NPOL": 2, "NBITS": 8, "BLOCSIZE": TERA}
    text = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END".ljust(80)
    path.write_bytes(text.encode() + bytes(100))


def packed_csv(path):
    path.write_bytes(gzip.compress(bytes(64 << 20)))


def frames_of(path):
    with files.open_frames(path) as recording:
        return recording.read()


def events_of(path):
    return list(files.read_parquet_tar(path))


BOMBS = {
    "a header of NPZ that lies": (lying_npz, "x.npz", files.read_npz),
    "zeros in NPZ": (zeros_npz, "x.npz", lambda path: files.read_npz(path, limit=1 << 20)),
    "YAML of references to references": (nested_yaml, "x.yaml", load_suite),
    "Parquet in tar with a footer that is not there": (
        lying_tar,
        "x.tar",
        lambda path: list(files.read_parquet_tar(path)),
    ),
    "Parquet with a footer that is not there": (lying_parquet, "x.parquet", files.read_parquet),
    "blocks of GUPPI of a terabyte": (lying_guppi, "x.raw", frames_of),
    "gzip under the name of CSV": (packed_csv, "x.csv", files.read_csv),
}


@pytest.mark.promise("P6", "small files that would be large in memory: refused before they are")
def test_what_would_be_large_is_refused(tmp_path, saw):
    for name, (make, called, read) in BOMBS.items():
        path = Path(tmp_path / called)
        make(path)
        with Peak() as peak, pytest.raises(LabdaqError):
            read(path)
        assert peak.grown_nbytes < GROWTH_NBYTES, name
        path.unlink()
    saw(f"{len(BOMBS)} kinds, all refused")
