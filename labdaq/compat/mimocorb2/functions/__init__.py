"""What mimoCoRB2 brings along: in a suite, functions without a file, as ``exporters.csv``.

`importers`    devices                    - `data`         events to and from files
`analyzers`    peaks of waveforms         - `misc`         copies
`exporters`    tables and histograms      - `observers`, `visualizers`  displays; they open no window
"""
