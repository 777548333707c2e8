#!/usr/bin/env python3
"""Tests of the generator: what it refuses, and that every alert is complete and tested in both directions."""

import copy
import json
import pathlib
import re
import unittest

import generate
import rules

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "objectives.json").read_text())
RULES = [rule for _, members in generate.groups(SETTINGS) for rule in members]
ALERTS = [rule for rule in RULES if "alert" in rule]
TESTS = "\n".join(path.read_text() for path in sorted((HERE / "tests").glob("*.yml")))
DOCS = (HERE.parents[1] / "docs" / "alerts.md").read_text()


class Refusals(unittest.TestCase):
    """Settings that cannot work."""

    def refused(self, change, words):
        """The changed settings are refused with these words."""
        settings = copy.deepcopy(SETTINGS)
        change(settings)
        with self.assertRaisesRegex(generate.Refused, words):
            generate.document(settings)

    def test_an_objective_whose_fast_burn_could_never_fire(self):
        self.refused(lambda s: s["objectives"].update(message_flow=0.92), "0.92 of `message_flow`.*0.93 to 0.9999")

    def test_an_objective_without_budget(self):
        self.refused(lambda s: s["objectives"].update(message_flow=1), "leaves no budget")

    def test_no_objective(self):
        self.refused(lambda s: s.update(objectives={}), "`objectives` is empty")

    def test_a_missing_text(self):
        self.refused(lambda s: s.pop("environment"), "`environment` is missing")

    def test_a_promise_that_is_no_bucket_boundary(self):
        self.refused(lambda s: s["latency_targets"].update(odd={"seconds": 0.12, "samples": 5}), "no histogram boundary")

    def test_the_lowest_objective(self):
        settings = copy.deepcopy(SETTINGS)
        settings["objectives"] = {"message_flow": 0.93}
        self.assertIn("vector(0.93)", generate.document(settings))


class Completeness(unittest.TestCase):
    """What every alert must have."""

    def test_labels_and_annotations(self):
        for rule in ALERTS:
            with self.subTest(rule["alert"]):
                self.assertEqual(rule["labels"]["origin"], "prometheus")
                self.assertEqual(rule["labels"]["environment"], SETTINGS["environment"])
                self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook_url", "dashboard_url"})
                self.assertRegex(rule["annotations"]["summary"], r"^[A-Z][^{}]+\.$")
                self.assertRegex(rule["annotations"]["description"], r"^[A-Z{s].+\.$")

    def test_runbook_anchors_exist(self):
        headings = {line.removeprefix("## ").strip().lower() for line in DOCS.splitlines() if line.startswith("## ")}
        for rule in ALERTS:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["annotations"]["runbook_url"].partition("#")[2], headings)

    def test_alerts_about_the_target_are_muted(self):
        for rule in ALERTS:
            about_us = rule["alert"].startswith("StagewatchMonitor") or rule["alert"] in ("Watchdog", "StagewatchCheckStale")
            with self.subTest(rule["alert"]):
                self.assertEqual("stagewatch_alert_suppressed" in rule["expr"], not about_us)

    def test_every_alert_has_a_positive_and_a_negative_case(self):
        # Every case asks for all alerts (but the watchdog) and lists those that fire, so an empty list is negative for all.
        self.assertGreater(TESTS.count("exp_samples: []"), 20)
        for name in {rule["alert"] for rule in ALERTS}:
            with self.subTest(name):
                positive = rf'labels: \'(ALERTS)?{{alertname="{name}"|alertname: {name}\n +exp_alerts:\n +- exp_labels'
                self.assertTrue(re.search(positive, TESTS), "no case in which it fires")

    def test_no_two_rules_have_the_same_identity(self):
        seen = [(rule.get("alert") or rule["record"], tuple(sorted(rule["labels"].items()))) for rule in RULES]
        self.assertEqual(len(seen), len(set(seen)))


class Metrics(unittest.TestCase):
    """Which metrics the rules need of /metrics; a test of the daemon compares the list with what it exposes."""

    def test_the_list_is_current(self):
        # Recorded names hold colons; whatever else looks like a metric comes from a scrape.
        names = set(re.findall(r"(?<![:\w])(?:stagewatch|process)_[a-z0-9_]+(?![:\w])", "\n".join(r["expr"] for r in RULES)))
        listed = (HERE / "metrics-used.txt").read_text().split()
        self.assertEqual(sorted(names), listed)

    def test_the_buckets_are_those_of_the_daemon(self):
        self.assertEqual(rules.BUCKETS, sorted(rules.BUCKETS))


if __name__ == "__main__":
    unittest.main()
