"""How each format is written and read back, for tests that go through all of them."""

from dataclasses import dataclass, field

import numpy as np

from labdaq.packet import HeaderInfo, find_format

CI8 = np.dtype([("re", "i1"), ("im", "i1")])
CI16 = np.dtype([("re", "<i2"), ("im", "<i2")])


@dataclass(frozen=True)
class Recipe:
    """One format: what to send, what readers have to be told, and how samples come back."""

    name: str
    dtype: object
    samples: int
    nsrc: int
    step: int = 1
    src: int = 0
    src_step: int = 1
    src0: int = 0
    seq0: int = 1000
    info: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    back: object = None
    """From a block to (frame, source, sample)."""

    def data(self, frames, seed=0):
        """Random bytes, which make payloads of this format; floats are finite."""
        rng = np.random.default_rng(seed)
        dtype = np.dtype(self.dtype)
        shape = (frames, self.nsrc, self.samples)
        if dtype.kind in "fc":
            return rng.normal(size=(*shape, dtype.itemsize // 4)).astype("f4").view(dtype)[..., 0]
        return rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]

    def send(self, writer, data, first=0):
        """All of it, or from frame ``first`` on."""
        begin = (self.seq0 + first) * self.step
        if self.name.startswith("drx") and self.nsrc == 4:  # two tunings by two polarisations
            parts = data.reshape(len(data), 2, 2, -1)
            for i, frame in enumerate(parts):
                for tuning, pols in enumerate(frame):
                    info = HeaderInfo(**self.info | {"tuning": self.info["tuning"] + tuning})
                    writer.send(info, begin + i * self.step, self.step, (tuning + 1) << 3 | 1, 128, pols[None])
            return
        info = HeaderInfo(nsrc=self.nsrc, **self.info)
        writer.send(info, begin, self.step, self.src, self.src_step, data)

    def reading(self):
        """Arguments of readers."""
        return {"nsrc": self.nsrc, "src0": self.src0, **self.options}

    def payloads(self, block):
        """The samples of a block as they were sent: (frame, source, sample)."""
        frames = len(block.data)
        data = self.back(block.data) if self.back else block.data
        return np.ascontiguousarray(data).reshape(frames, self.nsrc, -1).view(self.dtype)

    @property
    def format(self):
        return find_format(self.name)


def _time_first(data):
    return np.swapaxes(data, 1, 2)


def _chips(data):  # (frame, chan, 16 * source, pol)
    frames, nchan, stands, pols = data.shape
    return data.reshape(frames, nchan, stands // 16, 16 * pols).transpose(0, 2, 1, 3)


def _snap2(data):  # two blocks of channels by two blocks of polarisations
    frames, nchan, npol = data.shape
    return data.reshape(frames, 2, nchan // 2, 2, npol // 2).transpose(0, 1, 3, 2, 4)


RECIPES = [
    Recipe("simple", CI16, 2048, 1),
    Recipe("chips_5", "u1", 32 * 5, 3, info={"chan0": 1200, "tuning": 1}, back=_chips),
    Recipe("ibeam2_4", "c8", 2 * 2 * 4, 3, info={"chan0": 700}),
    Recipe("pbeam1_8", "f4", 4 * 8, 2, step=24, src0=1, info={"chan0": 64, "decimation": 24}),
    Recipe("cor_6", "c8", 4 * 6, 6, step=196_000_000 * 5, src0=1, info={"decimation": 500, "chan0": 12}),
    Recipe("tbn", CI8, 512, 4, step=512 * 1960, info={"tuning": 83269774, "gain": 20}),
    Recipe("drx", "u1", 4096, 4, step=4096 * 10, info={"decimation": 10, "tuning": 0}, back=_time_first),
    Recipe("drx8", CI8, 4096, 2, step=4096 * 10, src=1 << 3 | 1, src_step=128, info={"decimation": 10}),
    Recipe(
        "snap2", "u1", 3 * 8, 4, back=_snap2, info={"npol": 8, "npol_tot": 16, "nchan": 3, "sync_time": 1_700_000_000}
    ),
    Recipe("vdif_232", "u1", 200, 2, info={"decimation": 50, "nbit": 8, "station": 65}, options={"rate": 50}),
    Recipe("tbf", "u1", 12 * 5 * 2, 3, step=7840, src=2348, src_step=12, src0=2348),
    Recipe("tbx_4", "u1", 4 * 3 * 2, 2, step=8192, src=100, src_step=4, src0=100, info={"server": 1}),
    Recipe("vbeam_7", "c8", 2 * 7, 1),
]
RECIPES = [
    recipe if recipe.name not in {"tbn", "drx8"} else Recipe(**{**recipe.__dict__, "back": _time_first})
    for recipe in RECIPES
]
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


class Collected:
    """A file for writers that keeps packets apart."""

    def __init__(self, nbytes):
        self.nbytes, self.packets = nbytes, []

    def write(self, data):
        raw = bytes(data)
        self.packets += [raw[i : i + self.nbytes] for i in range(0, len(raw), self.nbytes)]
        return len(raw)


def packets_of(recipe, data, first=0):
    """The packets of some data, one by one, in the order in which they are sent."""
    from labdaq.packet import DiskWriter

    nbytes = recipe.format.header.itemsize + data.dtype.itemsize * data.shape[2]
    file = Collected(nbytes)
    recipe.send(DiskWriter(recipe.name, file), data, first)
    return file.packets
