"""What other processes do with the lock of a device."""

import os
import sys

from labdaq.devices.locks import held


def hold(device, connection):
    """Hold a device until the other end says something or has gone."""
    sys.argv = ["/usr/bin/other-program"]
    with held(device, run="cosmics"):
        connection.send(os.getpid())
        connection.poll(None)


def hold_and_fork(device, connection):
    """Hold a device and have a child, forked meanwhile, that lives on until the other end has gone."""
    with held(device):
        if os.fork() == 0:
            connection.poll(None)
            os._exit(0)
        connection.send(os.getpid())
        connection.poll(None)
