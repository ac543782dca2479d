"""Bytes of every format that a release ever wrote: they are decoded for ever (DESIGN §2, Formats). The files here are never changed.

`python -m tests.golden.write` adds the files of a new format number, and never touches one that is there.
"""
