"""The alerts and the dashboard in deploy/ are valid, and use metrics that exist."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness.real_server import ROOT
from tests.monitoring.conftest import Samples
from tests.monitoring.promtool import run_promtool

RULES = ROOT / "deploy/prometheus-rules.yml"
RULES_TEST = ROOT / "tests/monitoring/rules.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def alerts() -> dict[str, str]:
    """Return the expression of each alert."""
    [group] = read_yaml(RULES)["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def test_promtool_accepts_the_rules() -> None:
    assert "8 rules found" in run_promtool("check", "rules", "--lint-fatal", RULES)


def test_alerts_fire_when_they_should() -> None:
    assert "SUCCESS" in run_promtool("test", "rules", RULES_TEST)


def test_every_alert_is_tested() -> None:
    healthy, broken, *_ = read_yaml(RULES_TEST)["tests"]
    for case in healthy, broken:
        assert [test["alertname"] for test in case["alert_rule_test"]] == list(alerts())


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    text = (ROOT / "deploy/prometheus.yml").read_text()
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(text.replace("/etc/prometheus/apidevices-token", f"{tmp_path}/token"))
    (tmp_path / RULES.name).write_text(RULES.read_text())
    run_promtool("check", "config", "--lint-fatal", configuration)


def test_expressions_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{number}",
            "expr": text.replace("$__rate_interval", "1m").replace("$instance", ".*"),
        }
        for number, text in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(EXPRESSIONS)} rules found" in run_promtool("check", "rules", file)


def test_expressions_name_only_metrics_that_exist(scrape: Callable[[], Samples]) -> None:
    exposed = {name.partition("{")[0] for name in scrape()}
    named = set(re.findall(r"apidevices_\w+", " ".join([*EXPRESSIONS, *alerts().values()])))
    assert len(named) > 15
    assert named <= exposed


def test_dashboard_lets_its_viewer_choose_the_data_source() -> None:
    sources = {
        json.dumps(part["datasource"])
        for panel in DASHBOARD["panels"]
        for part in (panel, *panel["targets"])
    }
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
