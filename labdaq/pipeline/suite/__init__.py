"""Suites: whole pipelines in a YAML file, checked to the line before anything is made.

`tree`      YAML with lines, bounded            `layers`    files based on others
`schema`    what a suite may hold               `problems`  what is wrong, and where
`loading`   suites from files                   `building`  pipelines from suites
`names`     objects by name                     `made`      workers from names and settings
`replaying` suites over recorded events
"""

from labdaq.pipeline.suite.building import SuitePipeline, build
from labdaq.pipeline.suite.loading import load_suite, open_suite
from labdaq.pipeline.suite.replaying import build_replay
from labdaq.pipeline.suite.schema import Suite, json_schema

__all__ = ["Suite", "SuitePipeline", "build", "build_replay", "json_schema", "load_suite", "open_suite"]
