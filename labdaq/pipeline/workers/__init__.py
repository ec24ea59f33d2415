"""What workers do, whichever thread or process they are in.

`plan`, `board`   what is to be done, and the numbers that all see     `worker`   what all have in common
`intake`, `gathering`  sources, and records that come quickly          `calls`    how a user's function is called
`filtering`, `compiled`, `outlets`  filters                            `sinking`, `ordering`  sinks
`trace`, `repeats`  where a record came from, and whether it came before
`tasks`           workers with a will of their own                     `quarantine`  events that failed
`choosing`        which class does the work of a plan
"""
