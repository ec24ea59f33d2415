"""Frames that telescopes recorded, and recordings of networks: what two independent decoders found in them."""

import hashlib
import io
import json

import numpy as np
import pytest

from labdaq.kernels import unpack
from labdaq.packet import find_format, read, read_records
from labdaq.packet.frames import udp_payload
from tests.recorded import recorded


def expected(name):
    path = recorded(name)
    return path, json.loads(path.with_name(f"{path.name if 'pcap' in name else path.stem}.expected.json").read_text())


def digest(numbers):
    parts = np.stack([numbers.real, numbers.imag], axis=-1).astype(np.int8)
    return hashlib.sha256(np.ascontiguousarray(parts).tobytes()).hexdigest()


@pytest.mark.parametrize("name", ["lwa/tbn-test.dat", "pcap/derived_lwa_tbn_nano.pcap"])
def test_tbn(name):
    path = recorded(name)
    _, truth = expected("lwa/tbn-test.dat")
    reading = read(path, "tbn", nsrc=20)
    (block,) = reading
    first = truth["frame_list"][0]
    step = truth["smallest_positive_step"]
    assert block.time_tag == first["timetag"]
    assert (block.header["tuning"], block.header["decimation"]) == (first["tuning_word"], step // 512)
    for frame in truth["frame_list"]:
        when, source = (frame["timetag"] - block.time_tag) // step, frame["tbn_id"] - 1
        assert block.present[when, source]
        assert digest(unpack(block.data[when, :, source], "ci8")) == frame["int8_sha256_C_order"]
    assert block.present.sum() == truth["frames"]
    assert reading.ledger.closes
    assert reading.ledger.trailing_nbytes == (truth["trailing_bytes"] if name.startswith("lwa") else 0)


@pytest.mark.parametrize(("name", "nsrc", "src0"), [("tbf-test", 5, 2348), ("tbf-mini-test", 4, 640)])
def test_tbf(name, nsrc, src0):
    path, truth = expected(f"lwa/{name}.dat")
    reading = read(path, "tbf", nsrc=nsrc, src0=src0)
    (block,) = reading
    assert block.time_tag == truth["frame_list"][0]["timetag"]
    found = 0
    for frame in truth["frame_list"]:
        source = (frame["first_chan"] - src0) // 12
        if source < nsrc:
            found += 1
            assert digest(unpack(block.data[0, source], "ci4")) == frame["int8_sha256_C_order"]
    assert reading.ledger.accepted == found
    assert reading.ledger.invalid["wrong_source"] == truth["frames"] - found
    assert reading.ledger.trailing_nbytes == truth["trailing_bytes"]


@pytest.mark.parametrize("name", ["tbn", "tbf", "tbx", "cor", "drx"])
def test_other_lwa_packets_are_refused_by_their_headers(name):
    path = recorded("lwa/tbw-test.dat")
    found = find_format(name)
    reading = read(path, found.sized(32) if found.payload is None else found, nsrc=4)
    assert list(reading) == []
    assert reading.ledger.accepted == 0


@pytest.mark.parametrize(
    "name",
    ["derived_lwa_tbn_nano.pcap", "dpkt_dns_icmp.pcap", "dpkt_truncated_dns.pcap", "scapy_macos.pcapng.gz",
     "scapy_netflowv9.pcap", "scapy_pfcp.pcap"],
)  # fmt: skip
def test_recordings_of_networks(name):
    path, truth = expected(f"pcap/{name}")
    records = list(read_records(io.BytesIO(path.read_bytes())))
    assert len(records) == truth["packets"]
    assert hashlib.sha256(b"".join(r.frame for r in records)).hexdigest() == truth["concat_sha256"]
    found = [(i, r, udp_payload(r.frame, r.linktype)) for i, r in enumerate(records)]
    datagrams = {i: (r, *place) for i, r, place in found if place is not None}
    assert len(datagrams) == truth["udp_datagrams"]
    for wanted in truth["udp"]:
        record, begin, end, port = datagrams[wanted["i"]]
        seconds, _, fraction = wanted["ts"].removeprefix("Decimal('").removesuffix("')").partition(".")
        assert record.time_ns == int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
        assert port == wanted["dport"]
        assert hashlib.sha256(record.frame[begin:end]).hexdigest() == wanted["payload_sha256"]
