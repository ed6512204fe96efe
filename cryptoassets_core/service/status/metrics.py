"""The report as figures for Prometheus.

Labels are names from the configuration only, so there are as many series as it has coins, sinks and components. Amounts
are floats there, as everything in Prometheus is: good for a picture or an alert, never for accounting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from cryptoassets_core.service.status.figures import Figures
from cryptoassets_core.service.status.report import Report, make_report

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service

#: Name, help, and which part of a coin's report it is.
_OF_COINS = (
    ("accounts_balance_coins", "What all accounts have together, whole coins.", "balance"),
    ("hot_wallet_balance_coins", "What the backend's wallet holds, whole coins.", "hot_wallet"),
    ("withdrawals_queued", "Withdrawals that wait for the broadcast; counted to 10001.", "queued"),
    ("deposits_incoming", "Deposits that wait for confirmations; counted to 10001.", "incoming"),
    ("broadcasts_unsettled", "Broadcasts that are not settled.", "unsettled"),
    ("broadcasts_interrupted", "Broadcasts that wait for a person.", "interrupted"),
    ("broadcasts_conflicted", "Broadcasts in conflict with the chain.", "conflicted"),
    ("failed_attempts", "What failed and was left for the next attempt, since the start.", "failed_attempts"),
    ("backend_answered_timestamp_seconds", "When the backend last answered.", "last_success_at"),
    ("walletnotify_timestamp_seconds", "When a notification last came.", "last_wallet_notify"),
    ("synced_timestamp_seconds", "When the chain was last followed.", "synced_at"),
    ("broadcast_timestamp_seconds", "When a broadcast was last begun.", "last_broadcast_at"),
)
_OF_SINKS = (
    ("events_pending", "Events that wait for the sink; counted to 10001.", "pending"),
    ("events_dead", "Events that the sink never took; counted to 10001.", "dead"),
    ("event_delivered_timestamp_seconds", "When the sink last took an event.", "last_delivered_at"),
)


def make_registry(service: Service, figures: Figures) -> CollectorRegistry:
    """Return a registry of this daemon alone: several may live in one process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ReportCollector(service, figures))
    return registry


class _ReportCollector(Collector):
    def __init__(self, service: Service, figures: Figures) -> None:
        self._service = service
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        report = make_report(self._service, self._figures)
        yield InfoMetricFamily("cryptoassets_build", "What runs.", {"version": report.version})
        healthy = GaugeMetricFamily("cryptoassets_healthy", "1 while all is well.")
        healthy.add_metric([], int(report.healthy))
        yield healthy
        alive = GaugeMetricFamily("cryptoassets_component_up", "1 while the component runs.", labels=["component"])
        for name, living in report.components.items():
            alive.add_metric([name], int(living))
        yield alive
        yield from _coin_problems(report)
        yield from _families("coin", report.coins, _OF_COINS)
        yield from _families("sink", report.sinks, _OF_SINKS)


def _coin_problems(report: Report) -> Iterator[Metric]:
    problems = GaugeMetricFamily("cryptoassets_coin_problem", "1 while something is wrong with it.", labels=["coin"])
    for coin in report.coins:
        problems.add_metric([coin.name], int(coin.problem is not None))
    yield problems


def _families(label: str, reports: Sequence[object], described: Sequence[tuple[str, str, str]]) -> Iterator[Metric]:
    for name, words, attribute in described:
        family = GaugeMetricFamily(f"cryptoassets_{name}", words, labels=[label])
        for report in reports:
            value = getattr(report, attribute)
            if value is not None:
                family.add_metric([getattr(report, "name")], _figure(value))  # noqa: B009 - reports of two kinds
        yield family


def _figure(value: Decimal | datetime | int) -> Any:
    # An amount stays exact until Prometheus's own text makes a float of it.
    return value.timestamp() if isinstance(value, datetime) else value
