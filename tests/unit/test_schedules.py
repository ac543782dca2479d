"""Fire times of all five ways, against a calendar that is walked minute by minute (SPEC R2)."""

from __future__ import annotations

import asyncio
import calendar
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.server.schemas.schedules import CronSchedule
from pydantic import TypeAdapter

from deployments.schedules import OURS, cron_lines, next_ticks, prefect_schedules
from headrace.schedules import Schedule, TimesPerDay

ZONES = ("Europe/Amsterdam", "America/New_York")
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
"""Both zones change their clocks twice meanwhile, on Sundays at 02:00 and 03:00."""

Rule = Callable[[datetime], bool]


def schedule(**written: Any) -> Schedule:
    made: Schedule = TypeAdapter(Schedule).validate_python(written)
    return made


def moment_of(wall: datetime, zone: str) -> datetime:
    """When clocks of the zone first show it; where none does, the moment an hour before."""
    offsets = (timedelta(hours=hours) for hours in range(14, -13, -1))
    for moment in (wall.replace(tzinfo=UTC) - offset for offset in offsets):
        if moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall:
            return moment
    return moment_of(wall - timedelta(hours=1), zone)


def expected(zone: str, times: Iterable[tuple[int, int]], rule: Rule) -> list[datetime]:
    """Of a calendar walked day by day: the given times of those days that the rule takes."""
    first = datetime(BEGIN.year, 1, 1) - timedelta(days=1)
    days = [day for number in range(368) if rule(day := first + timedelta(days=number))]
    moments = {moment_of(day.replace(hour=hour, minute=minute), zone) for day in days for hour, minute in times}
    return sorted(moment for moment in moments if BEGIN < moment < END)


def fired(one: Schedule, page: int = 40) -> list[datetime]:
    """Asked for again and again, as the scheduler of the Prefect server does."""

    def pages() -> Iterator[datetime]:
        after = BEGIN
        while after < END:
            ticks = next_ticks([one], after, page)
            yield from (tick.at.astimezone(UTC) for tick in ticks)
            after = ticks[-1].at

    return [at for at in pages() if at < END]


def days_in_month(wall: datetime) -> int:
    return calendar.monthrange(wall.year, wall.month)[1]


@pytest.mark.spec("R2")
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("time", [(0, 0), (1, 30), (2, 30), (3, 0)])
def test_days_of_the_week(zone: str, time: tuple[int, int]) -> None:
    """Clocks change on Sundays."""
    one = schedule(days_of_week=["sunday", "wed"], at="{:02}:{:02}".format(*time), time_zone=zone)
    assert fired(one) == expected(zone, [time], lambda day: calendar.day_name[day.weekday()] in ("Sunday", "Wednesday"))


@pytest.mark.spec("R2")
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("days", "rule"),
    [
        ([1, 15], lambda day: day.day in (1, 15)),
        ([31], lambda day: day.day == 31),
        (["last"], lambda day: day.day == days_in_month(day)),
        ([29, "last", 8], lambda day: day.day in (8, 29, days_in_month(day))),
        ([31, 30, "last"], lambda day: day.day in (30, 31, days_in_month(day))),
    ],
)
def test_days_of_the_month(zone: str, days: list[object], rule: Rule) -> None:
    one = schedule(days_of_month=days, at="02:15", time_zone=zone)
    assert fired(one) == expected(zone, [(2, 15)], rule)


@pytest.mark.spec("R2")
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", [1, 4, 6])
@pytest.mark.parametrize("ordinal", ["1st", "2nd", "3rd", "4th", "5th", "last"])
def test_the_weekday_of_the_month(zone: str, day: int, ordinal: str) -> None:
    def rule(wall: datetime) -> bool:
        if wall.weekday() != day:
            return False
        return wall.day + 7 > days_in_month(wall) if ordinal == "last" else (wall.day - 1) // 7 + 1 == int(ordinal[0])

    one = schedule(weekday_of_month=f"{ordinal} {calendar.day_name[day].lower()}", at="02:45", time_zone=zone)
    assert fired(one) == expected(zone, [(2, 45)], rule)


@pytest.mark.spec("R2")
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("count", [1, 5, 24])
def test_times_per_day_are_evenly_spaced_from_their_first_on(zone: str, count: int) -> None:
    """To the minute: at most one minute longer or shorter than a day divided by them."""
    first = 2 * 60 + 10
    starts = {(first + number * 1440 // count) % 1440 for number in range(count)}
    assert len(starts) == count
    one = schedule(times_per_day=count, at="02:10", time_zone=zone)
    assert fired(one, 400) == expected(zone, [divmod(start, 60) for start in starts], lambda _: True)


@pytest.mark.spec("R2")
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("minutes", [50, 1440, 10_000])
def test_every_x_minutes_is_that_long_whatever_clocks_do(zone: str, minutes: int) -> None:
    one = schedule(every_minutes=minutes, at="03:20", time_zone=zone)
    first = datetime(2000, 1, 1, 3, 20, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    count = (BEGIN - first) // timedelta(minutes=minutes) + 1
    moments = []
    while (moment := first + count * timedelta(minutes=minutes)) < END:
        moments.append(moment)
        count += 1
    assert fired(one, 900) == moments


@pytest.mark.spec("R2")
def test_no_moment_fires_twice_where_a_day_is_the_last_of_its_month() -> None:
    """Two lines that fire at one moment would be two runs."""
    one = schedule(days_of_month=[27, 29, 30, 31, "last"], at="05:00")
    each = [fired_by(made) for made in prefect_schedules([one])]
    assert sum(map(len, each)) == len(set().union(*each))


def fired_by(made: DeploymentScheduleCreate) -> set[datetime]:
    line = CronSchedule.model_validate(made.schedule.model_dump())
    return set(asyncio.run(line.get_dates(200, BEGIN, END)))


@pytest.mark.spec("R2")
def test_several_schedules_are_one_list_in_their_own_zones() -> None:
    both = [schedule(days_of_week=["mon"], at="09:00", time_zone="America/New_York"), schedule(days_of_month=[1], at="06:00")]
    ticks = next_ticks(both, datetime(2026, 5, 30, tzinfo=UTC), 3)
    assert [(tick.at.isoformat(), tick.time_zone) for tick in ticks] == [
        ("2026-06-01T06:00:00+00:00", "UTC"),
        ("2026-06-01T09:00:00-04:00", "America/New_York"),
        ("2026-06-08T09:00:00-04:00", "America/New_York"),
    ]


def test_schedules_of_ours_are_known_by_their_slugs() -> None:
    made = prefect_schedules([schedule(times_per_day=5), schedule(every_minutes=15)])
    slugs = [str(one.slug) for one in made]
    assert len(set(slugs)) == len(slugs) == 6
    assert all(slug.startswith(OURS) for slug in slugs)


def test_whatever_the_number_of_times_no_start_is_lost() -> None:
    """A cron line fires at every pair of its minutes and hours, so that lines must be cut with care."""
    for count in range(1, 1441):
        fires = set()
        for line in cron_lines(TimesPerDay(times_per_day=count, at="13:37")):
            minutes, hours, *_ = line.split()
            fires |= {(int(hour), int(minute)) for hour in hours.split(",") for minute in minutes.split(",")}
        assert len(fires) == count
