"""The JSON schema that is published."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from labdaq.cli.workspaces import KINDS
from labdaq.pipeline.suite import json_schema
from tests.pipeline.suite.files import SUITE

PUBLISHED = Path(__file__).parents[3] / "docs" / "suite.schema.json"


def test_the_published_schema_is_that_of_the_code():
    text = json.dumps(json_schema(), indent=2) + "\n"
    assert PUBLISHED.read_text(encoding="utf-8") == text, f"write what labdaq.pipeline.suite gives to {PUBLISHED}"


def test_a_suite_is_valid():
    jsonschema.validate(yaml.safe_load(SUITE), json_schema())


@pytest.mark.parametrize("change", [{"limit": {}}, {"workers": {"a": {"sorce": "x", "writes": "raw"}}}, {"name": 3}])
def test_what_labdaq_refuses_is_invalid(change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(SUITE), **change}, json_schema())


def test_every_key_is_described():
    for part in json_schema()["$defs"].values():
        assert all("description" in one for one in part["properties"].values()), part["title"]


def test_the_workspace_is_valid_with_its_base():
    top = yaml.safe_load((KINDS["muon"] / "suite.yaml").read_text())
    below = yaml.safe_load((KINDS["muon"] / top["base"]).read_text())
    merged = {**top, "rings": {**below["rings"], **top["rings"]}, "workers": {**below["workers"], **top["workers"]}}
    jsonschema.validate(merged, json_schema())
