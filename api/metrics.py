"""Every metric of the API, with its meaning. Served at /metrics for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

CALLS = Counter(
    "headrace_api_calls",
    "calls that were answered, by operation ('' for one that nobody has signed) and HTTP status",
    ["operation", "status"],
    registry=REGISTRY,
)
CALL_SECONDS = Histogram("headrace_api_call_seconds", "from the end of a request's body to its answer", ["operation"], registry=REGISTRY)
REFUSED = Counter("headrace_api_refused", "calls that were answered with an error, by its name", ["code"], registry=REGISTRY)
RUNNING = Gauge("headrace_api_running_calls", "calls that are worked on", registry=REGISTRY)
RUNS_ASKED = Counter(
    "headrace_api_runs_asked",
    "runs of deployments that Prefect was asked for, by deployment and by whether it took them: yes, no",
    ["deployment", "taken"],
    registry=REGISTRY,
)
JOBS = Gauge(
    "headrace_upload_jobs",
    "upload jobs of all domains there are, by status; absent while Redis does not say",
    ["status"],
    registry=REGISTRY,
)
OLDEST_JOB = Gauge(
    "headrace_upload_jobs_oldest_seconds",
    "since the start of the job that is in progress for longest; 0: none is; not a number while Redis does not say",
    registry=REGISTRY,
)
