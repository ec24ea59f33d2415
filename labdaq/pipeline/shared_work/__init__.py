"""Work that several machines share, by a Redis server.

`shared`    a filter whose work is shared             `gateway`   the worker that hands it out, and takes it in
`member`    does a share of it, anywhere              `frames`    events and results as they travel
`rings`     a ring published, and read by a group     `joining`   a member for a worker of a suite
"""
