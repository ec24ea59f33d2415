"""Sockets: merged packets, several at once, passing packets, buffers."""

import numpy as np
import pytest

import labdaq
from labdaq.errors import LayoutError, ResourceError
from labdaq.packet import Address, UDPCapture, UDPSniffer, UDPSocket, UDPTransmit
from labdaq.packet.sending import most_per_message
from labdaq.packet.sniffing import filter_program
from tests.packet.recipes import BY_NAME
from tests.packet.test_capture import capture_all
from tests.packet.toy import TOY, stream, toy


def linked(*, merge=False):
    receiver, sender = UDPSocket(), UDPSocket()
    receiver.bind(Address("127.0.0.1", 0), merge=merge)
    receiver.timeout = 0.1
    sender.connect(receiver.address)
    return receiver, sender


class TestMerged:
    @pytest.mark.parametrize("frames", [1, 61])  # the last message of many is not full
    @pytest.mark.parametrize("offload", [False, True])
    def test_the_system_may_take_packets_apart_and_put_them_together(self, frames, offload):
        receiver, sender = linked(merge=True)
        recipe, data = BY_NAME["chips_5"], BY_NAME["chips_5"].data(frames)
        with receiver, sender, labdaq.Ring() as ring:
            reader = ring.read()
            recipe.send(UDPTransmit("chips_5", sender, offload=offload), data)
            with UDPCapture("chips_5", receiver, ring, nsrc=3) as capture:
                capture_all(capture)
            assert (capture.ledger().accepted, capture.ledger().kernel_drops) == (3 * frames, 0)
            (span,) = [span.data.copy() for sequence in reader for span in sequence.read(256)]
        assert np.array_equal(recipe.back(span).reshape(data.shape), data)

    def test_what_the_system_dropped_is_then_a_lower_bound(self):
        receiver, sender = linked(merge=True)
        with receiver, sender, labdaq.Ring() as ring, UDPCapture(TOY, receiver, ring, nsrc=1) as capture:
            assert capture.ledger().drops_are_at_least == receiver.is_merging

    def test_a_payload_may_be_longer_than_what_was_asked_for(self):
        receiver, sender = linked(merge=True)
        with receiver, sender, labdaq.Ring() as ring:
            for nbytes in (0, 1, 100, 101, 60_000):
                sender.socket.send(bytes(nbytes))
            with UDPCapture(TOY, receiver, ring, nsrc=1, max_size=100) as capture:
                capture_all(capture)
        assert (capture.ledger().handed_over, capture.ledger().closes) == (5, True)

    def test_large_packets_go_one_by_one(self):
        assert [most_per_message(n) for n in (1, 1000, 8224, 65_507)] == [64, 64, 7, 1]


@pytest.mark.parametrize("portable", [False, True])
class TestSeveral:
    def test_sockets_share_a_ring(self, portable):
        pairs = [linked() for _ in range(3)]
        receivers = [receiver for receiver, _ in pairs]
        with labdaq.Ring() as ring:
            with UDPCapture(TOY, receivers, ring, nsrc=3, ntime_gulp=8, portable=portable) as capture:
                for packet in stream(0, 20, 3):
                    pairs[packet[1]][1].socket.send(packet)
                capture_all(capture)
            ledger = capture.ledger()
        for one in (one for pair in pairs for one in pair):
            one.close()
        assert ledger.closes
        assert ledger.accepted + ledger.late == 60
        assert ledger.kernel_drops in (0, None)

    def test_a_busy_one_does_not_keep_the_others_waiting(self, portable):
        """All packets of the first socket are there before the second has any: in turns, they come side by side."""
        pairs = [linked() for _ in range(2)]
        with labdaq.Ring() as ring:
            for packet in stream(0, 400, 2):
                pairs[packet[1]][1].socket.send(packet)
            receivers = [receiver for receiver, _ in pairs]
            with UDPCapture(TOY, receivers, ring, nsrc=2, ntime_gulp=128, portable=portable) as capture:
                capture_all(capture)
        for one in (one for pair in pairs for one in pair):
            one.close()
        assert capture.ledger().accepted == 800

    def test_they_are_all_of_one_kind(self, portable):
        receiver, sender = linked(merge=True)
        with receiver, sender, labdaq.Ring() as ring, UDPSocket() as other:
            other.bind(Address("127.0.0.1", 0))
            if receiver.is_merging:
                with pytest.raises(LayoutError, match="all merging"):
                    UDPCapture(TOY, [receiver, other], ring, nsrc=1, portable=portable)
            with pytest.raises(LayoutError, match="one at least"):
                UDPCapture(TOY, [], ring, nsrc=1, portable=portable)


class TestSniffing:
    def test_only_this_port_and_host_and_once(self):
        with UDPSocket() as other, UDPSocket() as sender, UDPSocket() as sniffer, labdaq.Ring() as ring:
            other.bind(Address("127.0.0.1", 0))
            sender.connect(other.address)
            try:
                sniffer.sniff(Address("0.0.0.0", other.address.port))
            except ResourceError as error:
                pytest.skip(f"not permitted here: {error}")
            sniffer.timeout = 0.1
            with UDPSocket() as elsewhere, UDPCapture(TOY, sniffer, ring, nsrc=1, portable=True) as capture:
                elsewhere.bind(Address("127.0.0.1", 0))
                for number in range(5):
                    sender.socket.send(toy(number))
                    sender.socket.sendto(toy(number + 100), elsewhere.address.sockaddr)
                capture_all(capture)
            assert capture.ledger().accepted == 5
            assert other.socket.recv(100) == toy(0)

    def test_it_needs_an_address_and_a_socket_that_sniffs(self):
        with UDPSocket() as sniffer:
            for address in (Address("::1", 5), Address("127.0.0.1", 0)):
                with pytest.raises(LayoutError, match="IPv4"):
                    sniffer.sniff(address)
            sniffer.bind(Address("127.0.0.1", 0))
            with labdaq.Ring() as ring, pytest.raises(LayoutError, match="sniff"):
                UDPSniffer(TOY, sniffer, ring, nsrc=1)

    @pytest.mark.parametrize("host", [0, 0x7F000001])
    def test_every_jump_of_the_filter_stays_in_it(self, host):
        program = filter_program(host, 4015)
        for place, (code, yes, no, _) in enumerate(program):
            is_return = code == 0x06
            assert is_return == (place >= len(program) - 2)
            if yes or no:
                assert place + 1 + max(yes, no) == len(program) - 1


class TestBuffers:
    def test_what_was_asked_for_and_granted_is_said(self):
        with UDPSocket() as receiver:
            receiver.bind(Address("127.0.0.1", 0), buffer=300_000)
            assert receiver.receive_buffer >= 4096
            is_enough = receiver.receive_buffer >= 300_000
            assert (receiver.advice == "") == is_enough
            assert is_enough or ("0.3 MiB" in receiver.advice and "rmem_max=300000" in receiver.advice)

    def test_multicast_over_ipv6(self):
        with UDPSocket() as receiver, UDPSocket() as sender, labdaq.Ring() as ring:
            try:
                receiver.bind(Address("ff02::4c41%lo", 0))
                sender.connect(Address("ff02::4c41%lo", receiver.address.port))
                sender.socket.send(toy(1))
            except (ResourceError, OSError, labdaq.errors.NotFoundError) as error:
                pytest.skip(f"not on this machine: {error}")
            receiver.timeout = 0.1
            with UDPCapture(TOY, receiver, ring, nsrc=1) as capture:
                capture_all(capture)
            assert capture.ledger().handed_over == 1

    def test_an_interface_that_is_not_there(self):
        with UDPSocket() as receiver, pytest.raises(ResourceError, match=r"binding to 239\.1\.2\.3"):
            receiver.bind(Address("239.1.2.3", 0), interface="nowhere0")

    def test_a_port_may_be_shared_when_asked_for(self):
        with UDPSocket() as one, UDPSocket() as other:
            one.bind(Address("127.0.0.1", 0), share=True)
            other.bind(one.address, share=True)
            assert one.address.port == other.address.port
