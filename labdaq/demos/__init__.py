"""Whole experiments, from the data to the result.

`muon`         the lifetime of the muon
`muon_take`    its data taking: a pipeline
`muon_table`   its table of decays: sinks
`muon_figure`  its figure
`exercises`    answers to the exercises of the course
"""
