"""Writes docs/configuration.md and docs/settings.md from the code that reads them: `make docs`. A test holds them to it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from api.principals import PrincipalsFile
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.segments import Segment
from headrace.settings import Settings

FOLDER = Path(__file__).parent
WRITTEN_BY = "<!-- Written by `make docs` from the code. Change it there. -->"

Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """File name below docs/ → its whole text."""
    return {"configuration.md": configuration_page(), "settings.md": settings_page()}


def configuration_page() -> str:
    parts = [
        WRITTEN_BY,
        "# Domain, connection and segment files",
        "YAML, one object a file; `headrace check FILE…` says what is wrong in which line, `headrace apply FILE…` stores it. Unknown keys"
        " are refused. Statements like SPEC I6 are those of [spec.md](spec.md).",
        "On this page: [domain](#domain), [connection](#connection) and [segment](#segment), each with what it is made of; and the file of"
        " [principals](#principalsfile), which the API reads by itself: it is not applied.",
    ]
    for model in (Domain, Connection, Segment, PrincipalsFile):
        parts += _model_sections(model)
    return "\n\n".join(parts) + "\n"


def _model_sections(model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema()
    definitions: dict[str, Schema] = schema.get("$defs", {})
    objects = [name for name, one in definitions.items() if one.get("type") == "object"]
    yield _section(model.__name__, schema, 2)
    for name in objects:
        yield _section(name, definitions[name], 3)


def _section(name: str, schema: Schema, level: int) -> str:
    required = schema.get("required", [])
    rows = [_row(key, field, key in required) for key, field in schema.get("properties", {}).items()]
    said = " ".join(str(schema.get("description", "")).split())
    table = "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows])
    return "\n\n".join(part for part in (f"{'#' * level} {name}", said, table) if part)


def _row(key: str, field: Schema, required: object) -> str:
    """What a rule of the model makes up when it is absent says so in its description."""
    meaning = _cell(field.get("description", ""))
    default = "required" if required and "absent:" not in meaning else _default(field)
    return f"| `{key}` | {_shape(field)} | {default} | {meaning} |"


def _shape(field: Schema) -> str:
    """What may stand there, in words; other objects as links to their section of the page."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    for several in ("anyOf", "oneOf"):
        if several in field:
            return " or ".join(_shape(one) for one in field[several] if one.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {_shape(field.get('items', {}))}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false"}
    return words.get(field.get("type", ""), "value") + _range(field)


def _range(field: Schema) -> str:
    least, most = field.get("minimum"), field.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    return f", {least} or more" if least is not None else ""


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or isinstance(default, list | dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else ""


def _cell(text: str) -> str:
    """For a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def settings_page() -> str:
    parts = [
        WRITTEN_BY,
        "# Settings",
        "Read from the environment, the same names in every mode: on one machine `headrace up` sets them for the programs it starts,"
        " [docker-compose.yml](../docker-compose.yml) for the containers. Prefect's own settings are Prefect's (`PREFECT_API_URL`…).",
    ]
    for title, settings in _groups(Settings):
        rows = [
            f"| `{name}` | {_words(field.annotation)} | {_setting_default(field)} | {_cell(field.description or '')} |"
            for name, field in _variables(settings)
        ]
        parts.append("\n".join([f"## {title}", "", "| variable | value | default | meaning |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def environment_variables() -> dict[str, FieldInfo]:
    """Every variable that Headrace reads, and the field it sets."""
    return {name: field for _, settings in _groups(Settings) for name, field in _variables(settings)}


def _groups(settings: type[BaseSettings]) -> Iterator[tuple[str, type[BaseSettings]]]:
    yield "In general", settings
    for name, field in settings.model_fields.items():
        if _is_group(field):
            yield name.capitalize() if len(name) > 2 else name.upper(), _class(field)


def _variables(settings: type[BaseSettings]) -> Iterator[tuple[str, FieldInfo]]:
    prefix = settings.model_config.get("env_prefix", "")
    for name, field in settings.model_fields.items():
        if not _is_group(field):
            yield f"{prefix}{name}".upper(), field


def _is_group(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings)


def _class(field: FieldInfo) -> type[BaseSettings]:
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, BaseSettings)
    return field.annotation


def _words(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_words(one) for one in get_args(annotation) if one is not type(None))
    return {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", SecretStr: "text (secret)"}.get(annotation, "value")


def _setting_default(field: FieldInfo) -> str:
    """Secrets' defaults too: they are in the code, and none of them is a secret."""
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if default is None or default == "":
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def main() -> None:
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
