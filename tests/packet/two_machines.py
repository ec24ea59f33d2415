"""Two machines with a cable between them, as network namespaces of Linux: run by `unshare -rn`, prints what came.

The far one sends: to multicast groups of IPv4 and IPv6 which the near one has joined, and to a third machine that is
not there, which the near one only overhears. (Addresses of IPv6 are to be had at once, and not after a second of
asking whether others have them: that is `accept_dad`.)
"""

import contextlib
import json
import subprocess
import sys
import time

import labdaq
from labdaq.packet import Address, UDPCapture, UDPSniffer, UDPSocket
from tests.packet.toy import TOY, toy

NEAR, FAR, ELSEWHERE = "10.9.0.1", "10.9.0.2", "10.9.0.77"
GROUP, GROUP6 = "239.76.65.1", "ff02::4c41"
PORT, COUNT = 4015, 20
SENDER = """
import pathlib, socket, subprocess, sys
print(flush=True)
sys.stdin.readline()
pathlib.Path("/proc/sys/net/ipv6/conf/far/accept_dad").write_text("0")
for command in (
    "ip link set far up", "ip address add {far}/24 dev far", "ip route add 224.0.0.0/4 dev far",
    "ip neighbour add {elsewhere} lladdr 02:00:00:00:00:77 dev far",
):
    subprocess.run(command.split(), check=True)
print(flush=True)
sys.stdin.readline()
wide = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
index = socket.if_nametoindex("far")
plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for packet in {packets!r}:
    plain.sendto(packet, ("{group}", {port}))
    plain.sendto(packet, ("{elsewhere}", {port}))
    wide.sendto(packet, ("{group6}", {port}, 0, index))
sys.stdin.read()
"""


def configure(*commands: str) -> None:
    """Run commands of `ip`; what the system refuses ends this."""
    for command in commands:
        subprocess.run(command.split(), check=True)


def captured(kind: type[UDPCapture], one: UDPSocket, far: "subprocess.Popen[str] | None") -> int:
    """How many packets came, after the far machine was told to send."""
    one.timeout = 0.1
    with labdaq.Ring() as ring, kind(TOY, one, ring, nsrc=1) as capture:
        if far is not None and far.stdin is not None:
            print(file=far.stdin, flush=True)
        end = time.monotonic() + 10
        while capture.ledger().handed_over < COUNT and time.monotonic() < end:
            capture.recv()
    return capture.ledger().accepted


def main() -> None:
    """Set both machines up, and capture."""
    configure("ip link set lo up", "ip link add near type veth peer name far")
    packets = [toy(number) for number in range(COUNT)]
    program = SENDER.format(
        packets=packets, far=FAR, elsewhere=ELSEWHERE, group=GROUP, group6=GROUP6, port=PORT
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        far = stack.enter_context(
            subprocess.Popen(
                ["unshare", "-n", sys.executable, "-c", program],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        far.stdout.readline()  # it is a machine of its own from now on
        configure(f"ip link set far netns {far.pid}", "ip link set near up", f"ip address add {NEAR}/24 dev near")
        sniffer, group, group6 = (stack.enter_context(UDPSocket()) for _ in range(3))
        print(file=far.stdin, flush=True)
        far.stdout.readline()
        sniffer.sniff(Address(ELSEWHERE, PORT), interface="near")
        group.bind(Address(GROUP, PORT), interface="near")  # to which nothing routes
        group6.bind(Address(f"{GROUP6}%near", PORT))
        found = {
            "sniffed": captured(UDPSniffer, sniffer, far),
            "multicast": captured(UDPCapture, group, None),
            "multicast6": captured(UDPCapture, group6, None),
        }
        far.stdin.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
