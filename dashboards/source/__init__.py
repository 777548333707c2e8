"""The dashboards as source: one file a dashboard, panels in panels.py."""
