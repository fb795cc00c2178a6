"""A framework of controls is a file that an officer writes; what is wrong in it is said by file, control and field."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from lah_platform.compliance.framework import controls_schema_text, read_framework
from lah_platform.errors import ConfigurationError
from lah_platform.stores.control_files import PACKAGED, load_framework, load_frameworks

_SCHEMA = Path(__file__).parents[2] / "docs" / "controls-schema.json"
OWN = """\
id: house_rules
title: House rules
standard: our own
scope: what we want to hold
limits: [only what we ask for]
controls:
  - id: HOUSE-1
    reference: rule 1
    title: Nobody logs in at night
    criterion: People sleep.
    owner: Ann
    sql: |
      select count(*) as logins, count(*) filter (where extract(hour from ts) < 6) as at_night
      from events
      where ts >= %(from)s and ts < %(to)s and (%(tenant)s = '*' or tenant = %(tenant)s) and subtype = 'auth'
    measure: at_night
    share_of: logins
    threshold: {direction: at_most, value: 12.5}
    minimum_evidence: {measure: logins}
    tables: [events]
    remediation: Go to bed.
    not_covered: Naps.
"""


def test_the_packaged_frameworks_are_as_the_published_schema_says_and_it_is_that_of_the_code() -> None:
    assert _SCHEMA.read_text(encoding="utf-8") == controls_schema_text()
    schema = json.loads(controls_schema_text())
    for path in PACKAGED.glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
    jsonschema.validate(yaml.safe_load(OWN), schema)


def test_the_frameworks_are_these_and_no_control_is_in_two() -> None:
    every = load_frameworks()
    assert set(every) == {"soc2", "gdpr", "hipaa", "eu_ai_act", "iso_42001", "executive"}
    ids = [control.id for framework in every.values() for control in framework.controls]
    assert len(ids) == len(set(ids)) > 60
    assert set(every["executive"].summarizes) == set(every) - {"executive"}


def test_a_file_in_the_deployments_folder_is_a_framework_and_replaces_the_packaged_one_of_its_id(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.yaml").write_text(OWN, encoding="utf-8")
    (tmp_path / "soc2.yml").write_text(OWN.replace("house_rules", "soc2"), encoding="utf-8")
    every = load_frameworks(tmp_path)
    assert [control.id for control in every["house_rules"].controls] == ["HOUSE-1"]
    assert every["soc2"].title == "House rules"
    assert load_framework("executive", tmp_path)[1][0].title == "House rules"
    with pytest.raises(ConfigurationError, match="No framework is called 'sox'"):
        load_framework("sox")
    with pytest.raises(ConfigurationError, match="LAH_CONTROLS_DIR is no folder"):
        load_frameworks(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    owner: Ann\n", "", "control HOUSE-1, field owner: Object missing required"),
        ("    owner: Ann\n", "    ownr: Ann\n", "control HOUSE-1, field ownr: Object contains unknown"),
        ("    tables:", "    table: x\n    tables:", "control HOUSE-1, field table: Object contains unknown"),
        ("value: 12.5", "value: many", "control HOUSE-1, field threshold.value: Invalid decimal"),
        ("value: 12.5", "value: .nan", "control HOUSE-1, field threshold.value: "),
        ("at_most", "below", "control HOUSE-1, field threshold.direction: Invalid enum value 'below'"),
        ("{measure: logins}", "{measure: logins, at_least: 0}", "control HOUSE-1, field minimum_evidence.at_least: "),
        ("measure: at_night", "measure: 'at night'", "control HOUSE-1, field measure: "),
        ("tables: [events]", "tables: []", "control HOUSE-1, field tables: "),
        ("    sql: |", "    query: ledger\n    sql: |", "control HOUSE-1, field query: give either query"),
        ("    tables:", "    exceptions: a\n    exceptions_sql: b\n    tables:", "field exceptions: give either"),
        (
            "    tables:",
            "    exceptions: a\n    tables:",
            "control HOUSE-1, field exceptions: there is no named query 'a'",
        ),
        ("id: house_rules", "id: House Rules", "field id: "),
        ("limits: [only what we ask for]", "limits: [", "line 7 is not YAML"),
        ("controls:", "controls: []\nother:", "field"),
    ],
)
def test_an_error_names_file_control_and_field(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in OWN
    (tmp_path / "own.yaml").write_text(OWN.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_frameworks(tmp_path)
    assert caught.value.message.startswith("own.yaml")
    assert said in caught.value.message


def test_two_controls_of_one_id_and_two_files_of_one_framework_are_refused(tmp_path: Path) -> None:
    control = OWN.split("controls:\n")[1]
    with pytest.raises(ConfigurationError, match="control HOUSE-1, field id: comes twice"):
        read_framework(OWN + control, "own.yaml")
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(OWN, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"b\.yaml, field id: house_rules is also in a\.yaml"):
        load_frameworks(tmp_path)
    (tmp_path / "b.yaml").write_text(OWN.replace("house_rules", "sum") + "summarizes: [executive]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="'executive' is no framework that can be summed up"):
        load_frameworks(tmp_path)
