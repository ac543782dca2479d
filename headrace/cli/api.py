"""`headrace api`: the HTTP API in the foreground."""

from __future__ import annotations

import logging
import signal
import threading
import time
from functools import partial
from pathlib import Path

from api.app import make_app
from api.call import Services
from api.computations import Computations
from api.launcher import Launcher, PrefectLauncher
from api.live_principals import LivePrincipals
from api.page_tokens import PageTokens
from api.principals_file import check_principals
from api.server import ApiServer
from headrace.cli.servers import access_of, opened, settings
from headrace.cli.terminal import Terminal
from headrace.cli.worker import log_handler
from headrace.connections import S3Location
from headrace.errors import TerminalError, TransientError
from headrace.master_key import derived_key
from object_store.store import ObjectStore
from profile_store.retirement import finish_retiring
from profile_store.store import Store
from streaming.importing.follow import Follower
from streaming.serving import DomainEngine

log = logging.getLogger("headrace.api")

PLAIN = (
    "requests and answers, profiles among them, can be read on their way: set HEADRACE_API_CERTIFICATE_FILE and HEADRACE_API_KEY_FILE,"
    " or put TLS in front and set HEADRACE_API_PUBLIC_URL to its https:// address"
)
RETIRE_SECONDS = 5.0
BUILDING = "materialize-segments/all-domains"


def run_api(terminal: Terminal) -> bool:
    """Until SIGTERM or SIGINT. Raises ConfigurationError, TerminalError where it can't begin."""
    logging.basicConfig(level=logging.INFO, handlers=[log_handler(terminal.form)])
    found = settings()
    if not found.api.principals_file:
        raise TerminalError(
            "HEADRACE_API_PRINCIPALS_FILE is not set: nobody could call the API.",
            code="NO_PRINCIPALS",
            hint="Name the file that says who may call it; docs/api.md shows one.",
        )
    file = Path(found.api.principals_file)
    principals = LivePrincipals(file)
    for warning in check_principals(file).warnings:
        log.warning("%s", warning)
    if found.api.is_readable_by_others:
        log.warning("%s", PLAIN)
    tokens = PageTokens(derived_key(found.api.master_key, "page tokens"))
    with opened() as context:
        context.store.check_safe()
        launcher = PrefectLauncher()
        follower = Follower(context, partial(_build_segments, launcher))
        objects = ObjectStore(access_of(S3Location(), found.s3))
        engine = DomainEngine(context, follower, objects, found.address_secret.get_secret_value())
        services = Services(context.store, found, engine, launcher, tokens, objects, Computations(context.store))
        app = make_app(services, principals)
        server = ApiServer(app, found.api)
        # The server answers them itself, and hands them on at its end: then it is stopped already.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        threading.Thread(target=_finish_retiring, args=(context.store,), daemon=True).start()
        follower.follow_all()
        try:
            server.run(lambda: log.info("serving the API on %s", server.url))
        finally:
            follower.stop()
            services.computations.stop()
            app.state.trail.close()
    return True


def _finish_retiring(store: Store) -> None:
    """What a process that died has left of domains that it was deleting, when its claim has run out."""
    while True:
        try:
            finish_retiring(store)
        except TransientError as error:
            log.info("deleted domains: %s", error)
            time.sleep(RETIRE_SECONDS)
        else:
            return


def _build_segments(launcher: Launcher, domain: str) -> None:
    """Now, and not when the deployment runs by itself next. Where Prefect does not answer it is built then."""
    try:
        launcher.start(BUILDING, {"domain": domain})
    except TransientError as error:
        log.warning("domain %s: its segments are built some minutes later: %s", domain, error)
