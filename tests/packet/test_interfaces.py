"""Real interfaces: multicast groups, and packets for others, between two machines with a cable."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.packet.two_machines import COUNT

PROBE = "ip link add near type veth peer name far && echo 0 > /proc/sys/net/ipv6/conf/far/accept_dad"


@pytest.fixture(scope="module")
def came():
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs Linux with unshare (util-linux) and ip (iproute2)")
    probe = subprocess.run(["unshare", "-rn", "sh", "-c", PROBE], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"network namespaces are not permitted here: {probe.stderr.strip()}")
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "tests.packet.two_machines"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_group_of_ipv4(came):
    assert came["multicast"] == COUNT


def test_a_group_of_ipv6_on_one_interface(came):
    assert came["multicast6"] == COUNT


def test_packets_for_others_are_overheard(came):
    assert came["sniffed"] == COUNT
