"""A run, from start to end.

`states`, `limits`   what may happen when                  `run`   one run
`any_run`   what all runs have      `outside`   what other processes ask for, and see
`crew`, `threads`, `processes`   who works, and where      `supervision`   who watches them
`ledger`, `closing`, `result`    the balance at the end    `snapshots`   what it is doing now
`detached`, `attached`   runs in a process of their own    `waiting`   for the end, so that Ctrl-C stops it
"""
