"""From the bytes of a file to numbered row batches. Deterministic: same bytes, same plan, same batches, however the stream was chunked."""

SPLITTER_FORMAT = 1
"""Raised whenever the same file would be cut into other batches; a registration made by another splitter is refused."""
