"""The embedded engine: a folder, used by any number of processes of this machine, without a server.

`engine`    the engine                                `catalogue`  what is said about scans and streams: SQLite
`log`       the points of a stream, to be read        `log_writer` the one who appends
`index`     one record for each batch: its commit     `segments`   the bytes, in files of 64 MiB
`bell`      processes that wait, and are woken        `sleeping`   its compiled steps
"""
