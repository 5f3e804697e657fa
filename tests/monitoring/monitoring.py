"""What manifests/components/monitoring says to Prometheus and Grafana, and a Prometheus of one's own to try it on.

promtool and prometheus are Debian's: `./hive test` takes both out of their package into build/tools."""

import glob
import json
import os
import re
import urllib.parse
import urllib.request

import yaml

from localhive import addresses
from localhive.process import Process, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPONENT = os.path.join(ROOT, "manifests", "components", "monitoring")
CONTAINERS = {"coordinator": addresses.COORDINATOR_METRICS_PORT, "proxy": addresses.PROXY_METRICS_PORT}
NAMESPACE = "test"
_PORT = 9090


def groups():
    """The groups of rules, as in a rule file."""
    with open(os.path.join(COMPONENT, "alerts.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)["spec"]["groups"]


def rules():
    return [rule for group in groups() for rule in group["rules"]]


def dashboard():
    (file,) = glob.glob(os.path.join(COMPONENT, "*.json"))
    with open(file, encoding="utf-8") as source:
        return json.load(source)


def dashboard_expressions():
    """Every expression of the dashboard, as Grafana sends it when NAMESPACE is chosen."""
    board = dashboard()
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    found += [annotation["expr"] for annotation in board["annotations"]["list"]]
    return [expression.replace("$namespace", NAMESPACE) for expression in found]


def selectors(expression):
    """Each `hive_metric{label="value", ...}` of it."""
    return re.findall(r"\b(?:hive_\w+|up)(?:\{[^}]*\})?", expression)


class Prometheus:
    """Scrapes pods of a local hive every quarter of a second. `rule_groups` with times that are so many times shorter."""

    def __init__(self, ip, folder, pods, rule_groups, hurry):
        self._url = f"http://{ip}:{_PORT}"
        targets = [{"targets": [f"{pod.ip}:{port}"], "labels": {"namespace": NAMESPACE, "pod": pod.ip, "container": container}}
                   for pod in pods for container, port in CONTAINERS.items()]
        shortened = json.loads(json.dumps(rule_groups))
        for rule in (rule for group in shortened for rule in group["rules"] if "for" in rule):
            rule["for"] = f"{1000 * _seconds(rule['for']) / hurry:.0f}ms"
        config = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
            "rule_files": [os.path.join(folder, "rules.json")],
            "scrape_configs": [{"job_name": "redis-hive", "static_configs": targets}],
        }
        for name, content in (("rules.json", {"groups": shortened}), ("prometheus.json", config)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                json.dump(content, out)
        self.process = Process("prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.json", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={ip}:{_PORT}"], os.path.join(folder, "prometheus.log"))

    def start(self):
        self.process.start()
        wait_until(self._ready, 20, "Prometheus to be ready")

    def query(self, expression):
        """The samples that it yields now: (labels, number)."""
        result = self._get("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def firing(self):
        """(alert, pod or None) of what fires."""
        return {(alert["labels"]["alertname"], alert["labels"].get("pod")) for alert in self._get("alerts")["alerts"]
                if alert["state"] == "firing"}

    def _get(self, what, **parameters):
        with urllib.request.urlopen(f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def _ready(self):
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False


def _seconds(text):
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]
