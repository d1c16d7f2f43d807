"""The names and descriptions of the metrics, in Prometheus' data model."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from math import inf, isinf
from typing import NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from apidevices.standalone.process_metrics import Totals
from apidevices.toolkit import metrics

_COUNTERS = (
    ("registrations", "Devices that were registered.", metrics.REGISTRATIONS),
    ("detail_changes", "Reports that changed the details of a device.", metrics.CHANGES),
    ("denials", "Requests that were denied because their device is blocked.", metrics.DENIALS),
    ("rate_limited", "Requests that were refused by a rate limit.", metrics.RATE_LIMITED),
    (
        "database_errors",
        "Requests that failed because the database is unavailable.",
        metrics.DATABASE_ERRORS,
    ),
    (
        "flush_errors",
        "Attempts to write activity times that failed. They are repeated.",
        metrics.FLUSH_ERRORS,
    ),
)

_HISTOGRAMS = (
    (
        "check_duration_seconds",
        "Time until a request was allowed or denied, for requests that need the database.",
        metrics.CHECK_SECONDS,
    ),
    ("flush_rows", "Rows of activity times that were written at once.", metrics.FLUSH_ROWS),
    ("flush_duration_seconds", "Time that writing activity times took.", metrics.FLUSH_SECONDS),
    (
        "flush_delay_seconds",
        "Age of the oldest activity time when it had been written.",
        metrics.FLUSH_DELAY,
    ),
)


class Gauges(NamedTuple):
    """What is measured at the time of a scrape.

    ``devices`` is the number of devices by status, or empty if it is unknown. ``disk`` is the size
    and the free space of the disk in bytes, or None if it is unknown.
    """

    database_available: bool
    devices: Mapping[str, int]
    disk: tuple[int, int] | None


class Exposition(Collector):
    """All metrics of one scrape."""

    def __init__(self, totals: Totals, gauges: Gauges) -> None:
        self._totals = totals
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield InfoMetricFamily(
            "apidevices_build", "The version of API Devices.", {"version": version("apidevices")}
        )
        yield from self._counters()
        yield from self._histograms()
        yield from self._measured()

    def _counters(self) -> Iterator[Metric]:
        values = self._totals.values
        requests = CounterMetricFamily(
            "apidevices_requests", "Checked requests, by outcome.", labels=["outcome"]
        )
        for outcome, number in zip(metrics.OUTCOMES, values, strict=False):
            requests.add_metric([outcome], number)
        yield requests
        for name, description, position in _COUNTERS:
            yield CounterMetricFamily(f"apidevices_{name}", description, values[position])

    def _histograms(self) -> Iterator[Metric]:
        for name, description, histogram in _HISTOGRAMS:
            *numbers, total = self._totals.values[histogram.start : histogram.end]
            buckets = _cumulative(histogram.bounds, numbers)
            yield HistogramMetricFamily(f"apidevices_{name}", description, buckets, total)

    def _measured(self) -> Iterator[Metric]:
        entries, fill, age = self._totals.load
        for name, description, value in (
            ("workers", "Worker processes that are running.", self._totals.workers),
            ("buffer_entries", "Rows of activity times that wait to be written.", entries),
            ("buffer_fill_ratio", "Used part of the fullest buffer, from 0 to 1.", fill),
            ("buffer_age_seconds", "Age of the oldest activity time that is not written.", age),
            (
                "database_available",
                "Whether the database is available: 1 or 0.",
                int(self._gauges.database_available),
            ),
        ):
            yield GaugeMetricFamily(f"apidevices_{name}", description, value)
        if self._gauges.devices:
            devices = GaugeMetricFamily(
                "apidevices_devices", "Registered devices, by status.", labels=["status"]
            )
            for status, number in self._gauges.devices.items():
                devices.add_metric([status], number)
            yield devices
        if self._gauges.disk:
            size, free = self._gauges.disk
            disk = "the disk with the database or the instance folder"
            yield GaugeMetricFamily("apidevices_disk_size_bytes", f"Size of {disk}.", size)
            yield GaugeMetricFamily("apidevices_disk_free_bytes", f"Free space of {disk}.", free)


def _cumulative(bounds: Sequence[float], numbers: Sequence[float]) -> Sequence[tuple[str, float]]:
    buckets, total = [], 0.0
    for bound, number in zip([*bounds, inf], numbers, strict=True):
        total += number
        buckets.append(("+Inf" if isinf(bound) else str(bound), total))
    return buckets
