"""The Redis engine: scans that several machines write and read, on a plain server without modules.

`engine`     the engine                               `catalogue`  scripts that keep scans, all or nothing
`search`     sorted sets by which scans are found     `log`        the points of a stream, read and appended
`outbox`     batches on their way, per stream         `sender`     the one thread that sends for all writers
`courier`    its connection                           `claim`      who may write, and whether he lives
`scripts`    the scripts of streams                   `link`       connections, patience, errors
`replies`    what the server says, checked
`serve`      a server of one's own, for a class       `program`    finding that server's program
"""
