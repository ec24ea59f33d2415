"""The only place of labdaq that calls below Python.

`compile`  numba functions without the GIL, cached across processes and never stale
`atomics`  loads, stores and compare-and-swap on raw addresses, for compiled code
`libc`     the few functions of the C library that compiled code calls
`futex`    sleep until a word of memory changes
`clocks`   what time it is, for compiled code
`mapping`  memory that is shared with other processes, or mapped twice so that it never wraps
`cuda`     what labdaq needs of a GPU, and how CuPy does it    `nvml`  which GPUs there are
`process`  who owns this: process identities that survive the reuse of a pid
"""

from labdaq.native.compile import cache_folder, inlined, jit

__all__ = ["cache_folder", "inlined", "jit"]
