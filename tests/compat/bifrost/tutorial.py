"""The code of Bifrost's tutorial, as it is printed; only the import lines are ours, and the ring that was left out.

Copyright (c) The Bifrost Authors, BSD 3-clause licence. `RINGS` is chapter 3, `CAPTURE` and `WRITING` are chapter 6.
"""

RINGS = """
from labdaq.compat import bifrost

ring = bifrost.ring.Ring(name="a_ring", space="system")
print('name:', ring.name, ', space:', ring.space)

ring.resize(4096)

ring.resize(4096, 5*4096)

import json, numpy, time

ring = bifrost.ring.Ring(name="another_ring", space="system")

with ring.begin_writing() as output_ring:
    time_tag = int(time.time()*1e9)
    hdr = {'time_tag':      time_tag,
           'metadata':      'here',
           'more_metadata': 'there'}
    hdr_str = json.dumps(hdr)

    gulp_size = 4096
    ring.resize(gulp_size, 5*gulp_size)

    with output_ring.begin_sequence(time_tag=hdr['time_tag'],
                                    header=hdr_str) as output_seq:
        for i in range(20):
            with output_seq.reserve(gulp_size) as output_span:
                data = output_span.data_view(numpy.int8)
                data[...] = (numpy.random.rand(gulp_size)\\
                             *127).astype(numpy.int8)
                print(i, '@', data[:5])

for input_seq in ring.read(guarantee=True):
    hdr = json.loads(input_seq.header.tobytes())
    print(input_seq.time_tag)
    print(hdr)

    gulp_size = 4096

    i = -1
    for input_span in input_seq.read(gulp_size):
        i += 1
        if input_span.size < gulp_size:
            continue
        data = input_span.data_view(numpy.int8)
        print(i, '@', data[:10])
"""

CAPTURE = """
import json
from labdaq.compat.bifrost import ctypes
import threading

from labdaq.compat.bifrost.address import Address
from labdaq.compat.bifrost.udp_socket import UDPSocket
from labdaq.compat.bifrost.packet_capture import PacketCaptureCallback, UDPCapture

addr = Address('127.0.0.1', 10000)
sock = UDPSocket()
sock.bind(addr)
sock.timeout = 5.0

class CaptureOp(object):
    def __init__(self, log, oring, sock, nsrc=16, src0=0, max_size=9000, ntime_gulp=250, ntime_slot=25000, core=-1):
        self.log = log
        self.oring = oring
        self.sock = sock
        self.nsrc = nsrc
        self.src0 = src0
        self.max_size = max_size
        self.ntime_gulp = ntime_gulp
        self.ntime_slot = ntime_slot
        self.core = core
        self.shutdown_event = threading.Event()

    def shutdown(self):
        self.shutdown_event.set()

    def seq_callback(
        self, seq0, chan0, nchan, nsrc, time_tag_ptr, hdr_ptr, hdr_size_ptr):
        timestamp0 = int((self.utc_start - ADP_EPOCH).total_seconds())
        time_tag0 = timestamp0 * int(FS)
        time_tag = time_tag0 + seq0 * (int(FS) // int(CHAN_BW))
        print("++++++++++++++++ seq0     =", seq0)
        print("                 time_tag =", time_tag)
        time_tag_ptr[0] = time_tag
        hdr = {
            "time_tag": time_tag,
            "seq0": seq0,
            "chan0": chan0,
            "nchan": nchan,
            "cfreq": (chan0 + 0.5 * (nchan - 1)) * CHAN_BW,
            "bw": nchan * CHAN_BW,
            "nstand": nsrc * 16,
            "npol": 2,
            "complex": True,
            "nbit": 4,
            "axes": "time,chan,stand,pol",
        }
        print("******** CFREQ:", hdr["cfreq"])
        hdr_str = json.dumps(hdr)
        self.header_buf = ctypes.create_string_buffer(hdr_str)
        hdr_ptr[0] = ctypes.cast(self.header_buf, ctypes.c_void_p)
        hdr_size_ptr[0] = len(hdr_str)
        return 0

    def main(self):
        seq_callback = PacketCaptureCallback()
        seq_callback.set_chips(self.seq_callback)
        with UDPCapture('chips', self.sock, self.oring, self.nsrc, self.src0, self.max_size,
                        self.ntime_gulp, self.ntime_slot, sequence_callback=seq_callback,
                        core=self.core) as capture:
            while not self.shutdown_event.is_set():
                status = capture.recv()
        del capture
"""

WRITING = """
from labdaq.compat import bifrost
import time
import numpy
from labdaq.compat.bifrost.packet_writer import HeaderInfo, DiskWriter

with open('output.dat', 'wb') as fh:
    bfo = DiskWriter('tbn', fh, core=0)
    desc = HeaderInfo()
    desc.set_tuning(int(round(38e6 / 196e6 * 2**32)))
    desc.set_gain(20)

    time_tag = int(time.time()*196e6)

    data = numpy.random.randn(16, 512*10)
    data = data + 1j*numpy.random.randn(*data.shape)
    for i in range(16):
        data[i,:] *= 4
    data = bifrost.ndarray(data.astype(numpy.complex64))

    qdata = bifrost.ndarray(shape=data.shape, dtype='ci8')
    bifrost.quantize(data, qdata, scale=2)
    print('Input:')
    for i in range(5):
        print('  ', i, '@', 0, ':', data[0,i]*2, '->', qdata[0,i])

    qdata = qdata.reshape(16, -1, 512)
    qdata = qdata.transpose(1,0,2).copy()

    bfo.send(desc, time_tag, qdata.shape[0]*1960, 0, 1, qdata)

import struct
print('Output:')
with open('output.dat', 'rb') as fh:
    packet_header = fh.read(24)
    packet_payload = fh.read(512*2)
    packet_payload = struct.unpack('<1024b', packet_payload)
    i, q = packet_payload[0::2], packet_payload[1::2]
    print(list(zip(i,q))[:5])
"""
