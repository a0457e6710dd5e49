#!/usr/bin/env python3
"""Runs Debian's Prometheus and bench_rules on the same rules in one run, and prints the ratios.

Prometheus scrapes 10,000 series a second from this program, over loopback, into a folder that goes away with it,
and evaluates 10,000 alerting rules of one series each and one rule over all series. How long a group took it tells
itself (prometheus_rule_group_last_duration_seconds). Compared are the medians by the clock, and the fastest
evaluations, which are nearer to the truth on a machine that has other work.

usage: prometheus.py BENCH_RULES [SECONDS]
"""

import http.server
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

SERIES = 10_000


class Exporter(http.server.BaseHTTPRequestHandler):
    turn = 0

    def do_GET(self):
        Exporter.turn += 1
        lines = (f'x{{i="{i}"}} {(Exporter.turn * 7 + i * 13) % 1000 / 17}\n' for i in range(SERIES))
        body = "".join(lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except BrokenPipeError:
            pass  # the scrape took too long and was given up

    def log_message(self, *_):
        pass


def rules():
    alerts = "".join(
        f"  - {{alert: s{i}, expr: 'avg_over_time(x{{i=\"{i}\"}}[30s]) > 100', for: 10s}}\n" for i in range(SERIES)
    )
    vector = "  - {alert: all, expr: 'avg_over_time(x[30s]) > 100', for: 10s}\n"
    return f"groups:\n- name: alerts\n  interval: 5s\n  rules:\n{alerts}- name: vector\n  interval: 5s\n  rules:\n{vector}"


def config(exporter):
    return (
        "global: {scrape_interval: 1s, evaluation_interval: 5s}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: x, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]\n"
    )


def free_port():
    with http.server.HTTPServer(("127.0.0.1", 0), Exporter) as server:
        return server.server_port


def durations(port):
    """The last duration of each group, in seconds, and how often it was evaluated."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = {}
    for group in ("alerts", "vector"):
        last = re.search(rf'^prometheus_rule_group_last_duration_seconds{{rule_group="[^"]*;{group}"}} (\S+)', text, re.M)
        count = re.search(rf'^prometheus_rule_evaluations_total{{rule_group="[^"]*;{group}"}} (\S+)', text, re.M)
        if last and count:
            found[group] = (float(last[1]), float(count[1]))
    return found


def version():
    told = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    return (told.stdout + told.stderr).splitlines()[0]


def watch(port, process, seconds):
    """What Prometheus told, one value for each evaluation, after the windows are full."""
    seen = {"alerts": [], "vector": []}
    counted = {}
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        time.sleep(0.5)
        if process.poll() is not None:
            sys.exit(f"prometheus ended with {process.returncode}")
        try:
            told = durations(port)
        except OSError:
            continue  # not listening yet
        for group, (last, count) in told.items():
            if counted.get(group) != count and time.monotonic() - begin > 35:
                seen[group].append(last)
            counted[group] = count
    return {group: (statistics.median(values), min(values)) for group, values in seen.items() if values}


def run_prometheus(seconds):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        (home / "rules.yml").write_text(rules())
        (home / "prometheus.yml").write_text(config(server.server_port))
        with open(home / "log", "w") as log:
            process = subprocess.Popen(
                ["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
                 f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
                stdout=log, stderr=log)
        try:
            return watch(port, process, seconds)
        finally:
            process.terminate()
            process.wait()
            server.shutdown()


def run_ours(bench):
    """Nanoseconds per series: by the clock, the median of interleaved repetitions, and the fastest evaluation."""
    told = subprocess.run(
        [bench, "--benchmark_format=json", "--benchmark_filter=(quiet_alert_rules|vector_rule)/10000/",
         "--benchmark_repetitions=7", "--benchmark_min_time=0.1", "--benchmark_enable_random_interleaving=true"],
        capture_output=True, text=True, check=True)
    ours = {}
    for entry in json.loads(told.stdout)["benchmarks"]:
        group = "alerts" if entry["name"].startswith("quiet_alert_rules") else "vector"
        median, fastest = ours.get(group, (0, float("inf")))
        if entry.get("aggregate_name") == "median":
            median = entry["wall_ns_per_series"]
        elif entry["run_type"] == "iteration":
            fastest = min(fastest, entry["best_ns_per_series"])
        ours[group] = (median, fastest)
    return ours


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(version())
    theirs = run_prometheus(float(sys.argv[2]) if len(sys.argv) > 2 else 90)
    ours = run_ours(sys.argv[1])
    for group, what in (("alerts", "10,000 rules of one series"), ("vector", "one rule over 10,000 series")):
        if group not in theirs or group not in ours:
            sys.exit(f"no figure for {what}: let it run for longer")
        for kind, last, mine in zip(("median", "fastest"), theirs[group], ours[group]):
            per_series = last / SERIES * 1e9
            print(f"{what}, {kind}: Prometheus {per_series:,.0f} ns per series, ours {mine:,.0f} ns: "
                  f"{per_series / mine:,.0f} times")


if __name__ == "__main__":
    main()
