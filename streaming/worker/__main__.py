"""`python -m streaming.worker [DOMAIN…]`: a merge worker until SIGTERM or SIGINT, which let it finish what it holds."""

from __future__ import annotations

import logging
import signal
import sys

from headrace.errors import HeadraceError
from headrace.settings import Settings
from streaming.worker.fleet import Fleet


def main(domains: tuple[str, ...]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    fleet = Fleet(Settings(), domains)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: fleet.stop())
    try:
        fleet.run()
    except HeadraceError as error:
        logging.getLogger("headrace.worker").error("%s", error)  # noqa: TRY400 - the message says it all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
