"""`headrace worker`: a merge worker in the foreground."""

from __future__ import annotations

import json
import logging
import signal
import sys
from datetime import UTC, datetime

from headrace.cli.servers import settings
from headrace.cli.terminal import Form, Terminal
from streaming.worker.fleet import Fleet


def run_worker(terminal: Terminal, domains: tuple[str, ...]) -> bool:
    """Until SIGTERM or SIGINT. `domains` empty: all there are, those to come included."""
    logging.basicConfig(level=logging.INFO, handlers=[log_handler(terminal.form)])
    fleet = Fleet(settings(), domains)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: fleet.stop())
    fleet.run()
    return True


def log_handler(form: Form) -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout if form is Form.JSON else sys.stderr)
    handler.setFormatter(_JsonLines() if form is Form.JSON else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
