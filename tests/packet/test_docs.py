"""What the page about packets shows is right."""

import re
from pathlib import Path

import numpy as np

from labdaq.packet import find_format, format_names, read

PAGE = Path(__file__).parents[2] / "docs" / "packets.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_all_of_it_is_python():
    for number, block in enumerate(blocks()):
        compile(block, f"{PAGE.name}, block {number}", "exec")


def test_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(next(block for block in blocks() if "DiskWriter" in block), {})
    (block,) = read("output.dat", "tbn", nsrc=16)
    assert block.present.all()
    assert block.header["decimation"] == 1960


def test_a_format_of_your_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    every = np.zeros((3, 4), [("magic", ">u2"), ("id", "u1"), ("gain", "u1"), ("seq", "<u4"), ("p", "u1", 1024)])
    every["magic"], every["id"], every["seq"] = 0xABCD, np.arange(4), np.arange(3)[:, None]
    Path("adc.dat").write_bytes(every.tobytes())
    scope = {}
    exec(next(block for block in blocks() if "PacketFormat" in block), scope)
    assert scope["block"].data.shape == (3, 4, 512)
    assert scope["block"].present.all()


def test_every_name_is_known():
    rows = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(), re.MULTILINE)
    names = re.findall(r"`([a-z0-9_]+)`", " ".join(rows))
    families = {find_format(name).name for name in names}
    shipped = set(format_names()) - {"mine"}  # which another test may have registered in this process
    assert {family.rstrip("12") if "beam" in family else family for family in families} == shipped
