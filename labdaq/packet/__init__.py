"""Packets of instruments, from files and networks into rings, and back; every one is accounted for.

`format`, `layout`, `formats`   what a packet is: data and two small functions; those that labdaq brings
`decoding`, `words`, `placing`, the compiled part: from bytes to a place in an open gulp
`copying`
`assembly`, `gulps`, `sinks`    sequences and gulps around it; where they go
`describing`, `ledger`          what a sequence is; the balance of all packets
`gathering`, `looking`          how a sequence begins; packets in memory
`transports`, `packet_file`,    where packets come from: memory, packet files, pcap and pcapng
`file_reading`, `pcap`,
`frames`, `batch`
`capture`, `disk_reader`,       all that together: into a ring, or as arrays
`reading`
`address`, `udp_socket`,        networks: sockets, many packets with one call of the system
`sniffing`, `receiving`,
`inbox`, `udp_packets`,
`udp_capture`
`writing`, `transmitting`       and back: arrays to packets, in files and on networks
`sending`, `pace`
`guessing`, `surveying`         what is in a file
`replaying`, `keeping`          files to the network again; frames into a folder
`limits`                        how many packets per second a machine takes
`warming`                       compile all that before it is needed
"""

from labdaq.packet.address import Address
from labdaq.packet.assembly import Assembly
from labdaq.packet.batch import Batch
from labdaq.packet.capture import PacketCapture
from labdaq.packet.disk_reader import DiskReader
from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.formats import find_format, format_names, register
from labdaq.packet.guessing import Guess, guess_format
from labdaq.packet.keeping import keep
from labdaq.packet.layout import FrameLayout
from labdaq.packet.ledger import Ledger
from labdaq.packet.packet_file import PacketFile
from labdaq.packet.pcap import PcapFile, read_records
from labdaq.packet.reading import PacketReading, read
from labdaq.packet.replaying import replay
from labdaq.packet.sinks import Block, BlockSink, RingSink
from labdaq.packet.status import CaptureStatus
from labdaq.packet.surveying import Survey, survey
from labdaq.packet.transmitting import UDPTransmit
from labdaq.packet.transports import Packets, Transport
from labdaq.packet.udp_capture import UDPCapture, UDPSniffer
from labdaq.packet.udp_packets import UDPPackets
from labdaq.packet.udp_socket import UDPSocket
from labdaq.packet.warming import warm
from labdaq.packet.writing import DiskWriter, HeaderInfo, Outgoing, PacketWriter

__all__ = [
    "Address",
    "Assembly",
    "Batch",
    "Block",
    "BlockSink",
    "CaptureStatus",
    "Capturing",
    "DiskReader",
    "DiskWriter",
    "FrameLayout",
    "Guess",
    "HeaderInfo",
    "Ledger",
    "Outgoing",
    "PacketCapture",
    "PacketFile",
    "PacketFormat",
    "PacketReading",
    "PacketWriter",
    "Packets",
    "PcapFile",
    "RingSink",
    "Setup",
    "Survey",
    "Transport",
    "UDPCapture",
    "UDPPackets",
    "UDPSniffer",
    "UDPSocket",
    "UDPTransmit",
    "find_format",
    "format_names",
    "guess_format",
    "keep",
    "read",
    "read_records",
    "register",
    "replay",
    "survey",
    "warm",
]
