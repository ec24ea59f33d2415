"""mimoCoRB v1 on labdaq's rings: its modules and classes under their own names, and suites of it and mimoCoRB2.

A program needs no more than another import: ``from labdaq.compat.mimocorb import mimo_buffer as bm``.

`mimo_buffer`       buffers, and their writers, readers and observers
`buffer_control`    classes for sources, filters, savers and displays, and whole suites from YAML
`plot_buffer`, `histogram_buffer`, `bufferinfoGUI`  displays: live plots in a notebook, silent without a page
`pulseSimulator`, `parquetReader`                   sources without hardware

And behind these names, from the bottom up:

`flags`, `metadata`, `accounts`                     the shared switches of a buffer; what becomes of its events
`access`, `buffer_access`, `buffer_observer`        writing, reading and observing a buffer
`roles`, `copying`                                  what functions are given, and what filters hand on
`importers`, `filters`, `exporters`, `savers`, `observers`  the classes of `buffer_control`
`layering`, `suite`, `suite2`                       suites of v1 and of mimoCoRB2 as plain descriptions
`aliases`, `calling`, `worker`, `crew`              processes that call functions of users
`wiring`, `grouping`, `hiring`, `leftovers`         who works together, shares events, replaces whom; what nobody read
`control`                                           a suite as it runs, from the start to the end
`patience`, `keyboard`, `run_folder`, `daq`         how long to wait, commands, the folder of a run, and the run
`suite_run`, `outcome`                              a run as labdaq's records and panels know it; what it comes to
`suites`, `displays`                                runs for `labdaq run` and notebooks, and what these show
`workspace/`                                        an example to begin with
"""

__all__ = [
    "buffer_control",
    "bufferinfoGUI",
    "histogram_buffer",
    "mimo_buffer",
    "parquetReader",
    "plot_buffer",
    "pulseSimulator",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in __all__:
        return import_module(f"labdaq.compat.mimocorb.{name}")
    raise AttributeError(f"labdaq.compat.mimocorb has no {name!r}; it has {', '.join(__all__)}")
