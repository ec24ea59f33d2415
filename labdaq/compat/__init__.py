"""Programs that were written for others, unchanged on labdaq's engine.

`mimocorb`   mimoCoRB v1: its buffers, its access classes, its suites in YAML
`mimocorb2`  mimoCoRB2: its workers and all that it brings along
`bifrost`    Bifrost: its rings, packet capture and packet writers
`pyacq`      pyacq's streams and nodes
"""
