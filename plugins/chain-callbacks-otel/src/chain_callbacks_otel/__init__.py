"""Runs as OpenTelemetry spans and metrics, and foreign GenAI spans as runs."""
