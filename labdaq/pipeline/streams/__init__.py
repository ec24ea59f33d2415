"""Where live streams meet pipelines, rings and the store.

`sources`    a stream as a source of a pipeline      `sinks`      a stream as a sink
`bridges`    rings published, and subscribed to      `recording`  a stream recorded in a scan
`following`  a scan followed as a stream             `carrying`   the thread of the last two
"""
