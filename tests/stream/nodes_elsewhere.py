"""Nodes that run in other processes, some of which misbehave there."""

import time

import numpy as np

from labdaq.stream import Node, ThreadNode

__all__ = ["Counting", "Doubling", "Stubborn", "prepared"]


class Counting(Node):
    """Sends some numbers at each start, and can be made to misbehave."""

    _output_specs = {"numbers": {"dtype": "i8", "shape": (-1,)}}  # noqa: RUF012

    def __init__(self, first=0, *, fails=""):
        super().__init__("counting")
        if fails == "made":
            raise ValueError("no such detector")
        self.first, self.fails = first, fails

    def _configure(self, **settings):
        self.step = settings.get("step", 1)

    def _start(self):
        if self.fails == "start":
            raise ValueError("no voltage")
        print("numbers come")
        self.output.send(np.arange(self.first, self.first + 3 * self.step, self.step))


class Stubborn(Counting):
    """Does not stop."""

    def _stop(self):
        time.sleep(100)


class Doubling(ThreadNode):
    """Twice what comes; does not like negative numbers."""

    _input_specs = {"in": {}}  # noqa: RUF012
    _output_specs = {"out": {}}  # noqa: RUF012

    def process(self, index, data):
        if (data < 0).any():
            raise ValueError("negative")
        self.output.send(2 * data, index)


def prepared(node, **output):
    node.configure()
    node.output.configure(**{"protocol": "ipc", **output})
    node.initialize()
    return node
