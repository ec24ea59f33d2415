"""Whole experiments, from the data to the result.

`muon`         the lifetime of the muon
`muon_take`    its data taking: rings and workers
`muon_figure`  its figure
`team`         threads that end together
"""
