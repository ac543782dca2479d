"""A connection's schedules as Prefect has them (SPEC R2), and when they fire next.

Each way of `headrace.schedules` becomes one cron line, or several, in its time zone; every X minutes becomes an interval. Of a local time that
occurs twice the earlier one fires. One that does not exist, when clocks go forward, fires an hour earlier on that day: no day loses its tick.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.server.schemas import schedules as served

from headrace.schedules import WEEKDAYS, DaysOfMonth, DaysOfWeek, EveryMinutes, Schedule, TimesPerDay, Weekday, WeekdayOfMonth

OURS = "headrace-"
"""Begins the slug of every schedule that `apply` made; those of others are left alone."""

MINUTES_OF_DAY = 24 * 60


@dataclass(frozen=True)
class Tick:
    """A start to come: with the offset of the time zone that its schedule names."""

    at: datetime
    time_zone: str


def prefect_schedules(schedules: Iterable[Schedule]) -> list[DeploymentScheduleCreate]:
    """In order; the slug says which of the connection's schedules each is of."""
    return [
        DeploymentScheduleCreate(schedule=made, active=True, slug=f"{OURS}{number}-{part}")
        for number, one in enumerate(schedules, start=1)
        for part, made in enumerate(_made_of(one), start=1)
    ]


def next_ticks(schedules: Iterable[Schedule], after: datetime, most: int) -> list[Tick]:
    """The next starts later than `after`, as the Prefect server computes them; two at one moment are one."""
    ticks: dict[datetime, Tick] = {}
    for one in schedules:
        for made in _made_of(one):
            for at in _fires(made, after, most):
                ticks.setdefault(at.astimezone(UTC), Tick(at.astimezone(ZoneInfo(one.time_zone)), one.time_zone))
    return [ticks[at] for at in sorted(ticks)][:most]


def _made_of(schedule: Schedule) -> Iterator[CronSchedule | IntervalSchedule]:
    if isinstance(schedule, EveryMinutes):
        yield IntervalSchedule(
            interval=timedelta(minutes=schedule.every_minutes), anchor_date=_anchor(schedule.at, schedule.time_zone), timezone="UTC"
        )
        return
    for line in cron_lines(schedule):
        yield CronSchedule(cron=line, timezone=schedule.time_zone)


def cron_lines(schedule: TimesPerDay | DaysOfWeek | DaysOfMonth | WeekdayOfMonth) -> list[str]:
    """One for each set of minutes that goes with the same hours: a cron line fires at every pair of the two."""
    hour, minute = map(int, schedule.at.split(":"))
    match schedule:
        case TimesPerDay():
            return [f"{minutes} {hours} * * *" for minutes, hours in _pairs(schedule.times_per_day, hour * 60 + minute)]
        case DaysOfWeek():
            days = ",".join(str(_number(day)) for day in sorted(schedule.days_of_week, key=_number))
            return [f"{minute} {hour} * * {days}"]
        case DaysOfMonth():
            return [f"{minute} {hour} {days} {months} *" for days, months in _days_and_months(schedule.days_of_month)]
        case WeekdayOfMonth():
            day = _number(schedule.weekday)
            return [f"{minute} {hour} * * {f'L{day}' if schedule.ordinal == 'last' else f'{day}#{schedule.ordinal}'}"]


def _days_and_months(days: tuple[int | Literal["last"], ...]) -> list[tuple[str, str]]:
    """The last day has a line of its own: beside the 29th, the cron library forgets it in February. No day is in two lines, or it would fire
    twice: so the others leave out the months whose last they are (save the 28th, which is February's last in some years: there, the second of two
    runs finds nothing to do)."""
    numbered = sorted(day for day in days if isinstance(day, int))
    if "last" not in days:
        return [(",".join(map(str, numbered)), "*")]
    months = {29: "1,3-12", 30: "1,3,5,7,8,10,12"}
    early = [(",".join(str(day) for day in numbered if day < 29), "*")]
    late = [(str(day), months[day]) for day in numbered if day in months]
    return [*(one for one in early if one[0]), *late, ("L", "*")]


def _pairs(count: int, first: int) -> list[tuple[str, str]]:
    """Minutes and hours of `count` starts a day, evenly spaced to the minute from minute `first` of the day on."""
    hours_of_minute: dict[int, list[int]] = defaultdict(list)
    for start in sorted((first + number * MINUTES_OF_DAY // count) % MINUTES_OF_DAY for number in range(count)):
        hours_of_minute[start % 60].append(start // 60)
    minutes_of_hours: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for minute, hours in sorted(hours_of_minute.items()):
        minutes_of_hours[tuple(hours)].append(minute)
    return [(",".join(map(str, minutes)), ",".join(map(str, hours))) for hours, minutes in minutes_of_hours.items()]


def _number(day: Weekday) -> int:
    """Cron's: Sunday is 0."""
    return (WEEKDAYS.index(day) + 1) % 7


def _anchor(at: str, time_zone: str) -> datetime:
    """Minutes are counted from this moment: `at` on 1 January 2000. A fixed day, so that applying again moves no tick."""
    hour, minute = map(int, at.split(":"))
    return datetime(2000, 1, 1, hour, minute, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


def _fires(schedule: CronSchedule | IntervalSchedule, after: datetime, most: int) -> list[datetime]:
    """By the server's own code, which may give a moment before its start when clocks change."""
    dates = (
        served.CronSchedule(cron=schedule.cron, timezone=schedule.timezone).get_dates(most + 2, after)
        if isinstance(schedule, CronSchedule)
        else served.IntervalSchedule(interval=schedule.interval, anchor_date=schedule.anchor_date, timezone="UTC").get_dates(
            most + 2, after
        )
    )
    return [one for one in list[datetime](asyncio.run(dates)) if one > after][:most]
