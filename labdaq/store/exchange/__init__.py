"""Scans for other programs.

`interchange`  as pandas, xarray and Arrow            `export`     as files, whose name says the format
`documents`    as documents of bluesky's event model  `frames`     images that a stream only names
`fallback`     points that were trimmed, from a file
`selection`, `tables`, `arrow`, `trees`, `times`: the parts of these
"""
