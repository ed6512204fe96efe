"""The timed jobs of the daemon: when they are due, whatever the clock does, and what went wrong in them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from cryptoassets_core.clock import steady_seconds, utc_now

logger = logging.getLogger(__name__)

#: The clock was set back if it lost so much against one that nobody sets.
CLOCK_JUMP_SECONDS = 2.0


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


class Jobs:
    """Runs the timed jobs.

    :ivar scheduler: plugins may add jobs of their own to it.
    """

    def __init__(self) -> None:
        # Late is better than not at all: without a grace time of None a busy machine would skip runs.
        self.scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self.scheduler.add_listener(self._on_end, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
        self._problems: dict[str, str] = {}
        #: Wall clock less steady clock.
        self._offset = _offset()

    def add(self, id_: str, work: Callable[[], object], *, seconds: float) -> None:
        """Have some work done at once, and again and again after a pause."""
        self.scheduler.add_job(work, Every(seconds), id=id_, name=id_.replace("-", " "), next_run_time=utc_now())

    def run_now(self, id_: str) -> None:
        """Have a job done now, and not when its pause is over."""
        with suppress(JobLookupError):  # the daemon is stopping
            self.scheduler.modify_job(id_, next_run_time=utc_now())

    def problems(self) -> list[str]:
        """Return which jobs failed when they ran last, a sentence each."""
        return list(self._problems.copy().values())

    def mind_the_clock(self) -> None:
        """Plan all jobs anew after the clock was set back: they would wait until it is again as late as it was."""
        before, self._offset = self._offset, _offset()
        if self._offset < before - CLOCK_JUMP_SECONDS:
            logger.warning("the clock was set back by %.0f seconds; all jobs are planned anew", before - self._offset)
            for job in self.scheduler.get_jobs():
                job.reschedule(job.trigger)

    def _on_end(self, event: JobExecutionEvent) -> None:
        """Keep book of jobs that raised; the scheduler logs them and runs them again."""
        if event.exception is None:
            self._problems.pop(event.job_id, None)
            return
        job = self.scheduler.get_job(event.job_id)
        name = job.name if job is not None else event.job_id
        self._problems[event.job_id] = (
            f"the job {name} failed with {type(event.exception).__name__}; the log has the details"
        )


def _offset() -> float:
    return time.time() - steady_seconds()
