"""The segments of a schedule's shop: as they are from the start, and as they are changed to while imports go on."""

from __future__ import annotations

from typing import Any


def _comparing(name: str, kind: str, *values: str) -> dict[str, Any]:
    return {"property": name, "comparison": kind, "values": values}


def _segment(name: str, *dimensions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "groups": [{"dimensions": dimensions, **more}]}


FROM_THE_START: tuple[dict[str, Any], ...] = (
    _segment("rich", _comparing("total", "greater_than", "40")),
    _segment("without-mail", _comparing("email", "exclusive", "c1@example.com"), _comparing("name", "contains", "1"), type="any"),
    _segment("tagged", _comparing("tags", "list_contains", "t1", "t2"), source_segments=["rich"]),
)
CHANGED: tuple[dict[str, Any], ...] = (
    _segment("rich", _comparing("total", "between", "5", "60")),
    _segment("tagged", _comparing("tags", "list_contains_all", "t1"), source_segments=["rich", "without-mail"], source_type="any"),
    _segment("without-mail", _comparing("email", "exclusive", "c1@example.com"), _comparing("name", "contains", "1"), type="any"),
    _segment("lately", _comparing("last", "after", "2026-03-01"), _comparing("consents", "exclusive", "ads")),
)
