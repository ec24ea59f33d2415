"""Nodes that everybody needs.

`polling`                  chunks are handed to a function
`converter`                another dtype, another transport
`splitter`, `resizer`      groups of channels; chunks of one length
`crossings`, `triggers`    where a signal crosses a threshold, and stays there
`epochs`, `accumulator`    stretches of a signal around triggers
`sos_filter`               digital filters that go on over the borders of chunks
`spectrogram`              power over time and frequency
`recordings`, `recorder`   files of raw samples, with gaps marked
`xdf_export`               recordings as XDF files
"""
