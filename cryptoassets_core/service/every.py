"""When the daemon's own jobs are due."""

from __future__ import annotations

from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler publishes no types
    """A pause between runs.

    APScheduler's own interval goes on from the last planned time, run by run: after somebody set the clock forward by
    a year it would count up all the runs of that year first.
    """

    def __init__(self, seconds: float) -> None:
        self._pause = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return when to run next; APScheduler calls this."""
        planned = now if previous_fire_time is None else previous_fire_time + self._pause
        return planned if planned > now else now + self._pause
