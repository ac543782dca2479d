"""Where files are: bucket, directory, and which of its files; or the one to write. SPEC I3, G2, E3, E4."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from headrace.configuration_model import ConfigurationModel, Problem, refuse
from headrace.file_selection import OWN_DIRECTORY, select_files


def _bucket(name: str) -> str:
    sane = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) and ".." not in name and not re.fullmatch(r"[0-9]+(\.[0-9]+){3}", name)
    if not sane:
        raise ValueError(
            "is not a bucket name; use 3 to 63 small letters, digits, '-' and '.', beginning and ending with a letter or digit;"
            " the path goes to directory"
        )
    return name


def _without_reserved(path: str) -> None:
    if OWN_DIRECTORY in path.split("/"):
        raise ValueError(f"can't enter {OWN_DIRECTORY}: what lies there was written by Headrace; choose another place")


def _directory(path: str) -> str:
    """With exactly one slash at its end; empty for the bucket itself."""
    if not path:
        return path
    if path.startswith("/"):
        raise ValueError("can't begin with a slash; the directory is relative to the bucket")
    parts = path.removesuffix("/").split("/")
    if not path.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be folders separated by single slashes, without '.' and '..'")
    if "*" in path or "?" in path:
        raise ValueError("holds a wildcard; put wildcards into files: ** goes into folders below the directory")
    _without_reserved(path)
    if len(path.encode()) > 900:
        raise ValueError("is longer than the 900 bytes that leave room for file names in S3's 1,024")
    return path.removesuffix("/") + "/"


def _files(pattern: str) -> str:
    select_files(files=pattern)
    if not pattern.isprintable():
        raise ValueError("must be printable characters, like 10-import.csv, *.csv or **/*.csv")
    _without_reserved(pattern)
    return pattern


def _regex(expression: str) -> str:
    select_files(regex=expression)
    return expression


def _file_name(name: str) -> str:
    if not 1 <= len(name.encode()) <= 255 or not name.isprintable() or "/" in name or name in (".", "..", OWN_DIRECTORY):
        raise ValueError("must be one file's name of 1 to 255 bytes; folders go to directory")
    return name


BucketName = Annotated[str, AfterValidator(_bucket)]
Directory = Annotated[str, AfterValidator(_directory)]


class Source(ConfigurationModel):
    """The files of an import goal: those of `files`, or those of `regex`. SPEC I3, G2."""

    bucket: BucketName = Field(description="the bucket that holds the files")
    directory: Directory = Field(default="", description="folder in the bucket, ends in a slash; empty: the whole bucket")
    files: Annotated[str, AfterValidator(_files)] | None = Field(
        default="*",
        description="name or wildcards below the directory; * stays in a folder, ** goes below it; absent: all files of the directory",
    )
    regex: Annotated[str, AfterValidator(_regex)] | None = Field(
        default=None, description="instead of files: an RE2 expression for the whole of the path below the directory"
    )

    @model_validator(mode="before")
    @classmethod
    def _files_or_regex(cls, written: object) -> object:
        """`files` has a default, which a regex replaces; both written is a mistake."""
        if not isinstance(written, dict) or written.get("regex") is None:
            return {**written, "files": "*"} if isinstance(written, dict) and written.get("files") is None else written
        if written.get("files") is not None:
            refuse([Problem(("regex",), "is given together with files; keep one of the two")])
        return {**written, "files": None}


class Destination(ConfigurationModel):
    """Where an export goal writes. SPEC E3, E4."""

    bucket: BucketName = Field(description="the bucket to write to")
    directory: Directory = Field(default="", description="folder in the bucket, ends in a slash; empty: the bucket itself")
    file_name: Annotated[str, AfterValidator(_file_name)] | None = Field(
        default=None,
        description="custom name, used as it is and replaced by each run; absent: a new file each run, segment name + timestamp + a mark of the run's own",
    )
