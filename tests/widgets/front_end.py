"""A front end in Python: it hears what widgets say, answers like a page, or freezes."""

import itertools
from collections import deque

import comm
import numpy as np

_TYPES = {"f4": np.float32, "i4": np.int32, "u1": np.uint8}


class Connection(comm.base_comm.BaseComm):
    """The connection of one widget."""

    def __init__(self, front_end, **about):
        self.front_end, self.custom = front_end, deque(maxlen=400)
        self.messages = self.nbytes = 0
        self.pages = []
        super().__init__(**about)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        if msg_type != "comm_msg":
            return
        self.messages += 1
        self.nbytes += sum(memoryview(one).nbytes for one in buffers or ())
        if data.get("method") == "custom":
            content = data["content"]
            self.custom.append((content, [bytes(one) for one in buffers or ()]))
            for page in list(self.pages):
                page.hear(content, buffers or ())

    def say(self, content):
        """As the page does."""
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


class FrontEnd:
    """All connections, by the model they belong to."""

    def __init__(self):
        self.connections = {}

    def connect(self, **about):
        made = Connection(self, **about)
        self.connections[made.comm_id] = made
        return made

    def show(self, plot, **settings):
        """Show a plot in one more page."""
        return Page(self.connections[plot.page.model_id], **settings)

    @property
    def messages(self):
        return sum(one.messages for one in self.connections.values())


class Page:
    """One page with a plot: it paints each frame at once, or is frozen and answers nothing."""

    _numbers = itertools.count()

    def __init__(self, connection, frozen=False):
        self.connection, self.is_frozen = connection, frozen
        self.name = f"page {next(self._numbers)}"
        self.frames, self.number, self.data, self.settings = 0, -1, {}, {}
        connection.pages.append(self)
        connection.say({"ready": self.name})

    def hear(self, content, buffers):
        if content.get("kind") != "frame" or self.is_frozen:
            return
        left = iter(buffers)
        for source, columns in content["sources"]:
            for name, kind, shape in columns:
                values = np.frombuffer(bytes(next(left)), _TYPES[kind]).reshape(shape)
                self.data.setdefault(source, {})[name] = values
        for name, changes in content["settings"]:
            self.settings.setdefault(name, {}).update(changes)
        self.frames, self.number = self.frames + 1, content["number"]
        self.connection.say({"painted": self.number, "page": self.name})

    def close(self):
        """The output was cleared."""
        self.connection.pages.remove(self)
        self.connection.say({"gone": self.name})

    def vanish(self):
        """The page was loaded anew: it says no good-bye."""
        self.connection.pages.remove(self)
