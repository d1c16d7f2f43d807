"""A scraper of the application's metrics."""

from collections.abc import Callable

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from tests.conftest import NewToken

Samples = dict[str, float]
"""Name and labels of a sample, such as ``apidevices_devices{status="active"}`` -> its value."""


def parse(text: str) -> Samples:
    """Return the samples of a scrape."""
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


@pytest.fixture
def get_metrics(app: Flask, new_token: NewToken) -> Callable[[], TestResponse]:
    """Get ``/metrics`` with a valid token, as a function."""
    token = new_token("metrics:read", name="prometheus")

    def get() -> TestResponse:
        headers = {"Authorization": f"Bearer {token}", "X-Device-ID": "prometheus"}
        return app.test_client().get("/metrics", headers=headers)

    return get


@pytest.fixture
def scrape(get_metrics: Callable[[], TestResponse]) -> Callable[[], Samples]:
    """Get the samples of ``/metrics``, as a function."""
    return lambda: parse(get_metrics().text)
