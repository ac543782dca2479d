"""When a connection runs by itself: the five ways of SPEC R2, each at a time of day in a time zone."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from headrace.configuration_model import ConfigurationModel, Count, Problem, refuse, repeated
from headrace.formats import TimeZone

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "last")


def _weekday(text: object) -> object:
    """Monday, mon and MONDAY are monday."""
    if isinstance(text, str):
        full = {day[:3]: day for day in WEEKDAYS} | {day: day for day in WEEKDAYS}
        return full.get(text.lower(), text)
    return text


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("is not a time of day; use HH:MM, from 00:00 to 23:59")
    return text


def _day_of_month(day: object) -> object:
    if day != "last" and not (type(day) is int and 1 <= day <= 31):
        raise ValueError("is not a day of the month; use 1 to 31, or last")
    return day


def _weekday_of_month(text: str) -> str:
    ordinal, _, day = text.strip().partition(" ")
    full = _weekday(day.strip())
    if ordinal.lower() not in ORDINALS or full not in WEEKDAYS:
        raise ValueError("is not a weekday of the month; use for example 2nd tuesday or last friday (1st to 5th, or last)")
    return f"{ordinal.lower()} {full}"


_T = TypeVar("_T")


def _distinct(values: tuple[_T, ...]) -> tuple[_T, ...]:
    refuse(Problem((later,), f"{value} is listed twice; remove one") for later, _, value in repeated(str(value) for value in values))
    return values


class _Timed(ConfigurationModel):
    at: Annotated[str, AfterValidator(_time_of_day)] = Field(default="00:00", description="time of day, HH:MM")
    time_zone: TimeZone = Field(default="UTC", description="of that time: a name of the IANA database")


class EveryMinutes(_Timed):
    """Every X minutes of elapsed time, counted from `at` on 1 January 2000, whatever clocks do; for times of day take times_per_day."""

    every_minutes: Annotated[Count, Field(ge=1, le=44_640)] = Field(description="minutes from one start to the next, up to 31 days")


class TimesPerDay(_Timed):
    """N times a day, evenly spaced to the minute; the first at `at`."""

    times_per_day: Annotated[Count, Field(ge=1, le=1_440)] = Field(description="starts per day, evenly spaced from at on")


class DaysOfWeek(_Timed):
    days_of_week: Annotated[tuple[Annotated[Weekday, BeforeValidator(_weekday)], ...], Field(min_length=1), AfterValidator(_distinct)] = (
        Field(description="days, like [monday, thursday] or [mon, thu]")
    )


class DaysOfMonth(_Timed):
    """Days that a month does not have are left out in it; `last` is in every month."""

    days_of_month: Annotated[
        tuple[Annotated[int | Literal["last"], BeforeValidator(_day_of_month)], ...], Field(min_length=1), AfterValidator(_distinct)
    ] = Field(description="days from 1 to 31, and last")


class WeekdayOfMonth(_Timed):
    """The 2nd Tuesday, the last Friday. A month without a 5th one is left out."""

    weekday_of_month: Annotated[str, AfterValidator(_weekday_of_month)] = Field(description="like 2nd tuesday or last friday")

    @property
    def ordinal(self) -> int | Literal["last"]:
        """1 to 5, or last."""
        first = self.weekday_of_month.split(" ")[0]
        return "last" if first == "last" else ORDINALS.index(first) + 1

    @property
    def weekday(self) -> Weekday:
        name = self.weekday_of_month.split(" ")[1]
        return next(day for day in WEEKDAYS if day == name)


WAYS = {
    "every_minutes": EveryMinutes,
    "times_per_day": TimesPerDay,
    "days_of_week": DaysOfWeek,
    "days_of_month": DaysOfMonth,
    "weekday_of_month": WeekdayOfMonth,
}


def _way(written: object) -> str | None:
    """The tag (class name) of the one way that is written, None for none or several."""
    if isinstance(written, ConfigurationModel):
        return type(written).__name__
    ways = [model.__name__ for key, model in WAYS.items() if isinstance(written, dict) and key in written]
    return ways[0] if len(ways) == 1 else None


Schedule = Annotated[
    Annotated[EveryMinutes, Tag("EveryMinutes")]
    | Annotated[TimesPerDay, Tag("TimesPerDay")]
    | Annotated[DaysOfWeek, Tag("DaysOfWeek")]
    | Annotated[DaysOfMonth, Tag("DaysOfMonth")]
    | Annotated[WeekdayOfMonth, Tag("WeekdayOfMonth")],
    Discriminator(_way, custom_error_type="schedule_way", custom_error_message=f"needs exactly one of {', '.join(WAYS)}"),
]
