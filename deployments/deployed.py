"""Every flow that people can start from Prefect, with the forms of its deployments. A new one is an entry here."""

from __future__ import annotations

from deployments.forms import DeployedFlow
from deployments.goal_flows import CHANGING
from deployments.import_forms import EXPORT_PROFILES, IMPORT_GROUPS, IMPORT_PROFILES, RUN_CONNECTION
from deployments.look_forms import LOOKING
from deployments.replay_forms import REPLAY_REJECTS
from deployments.segment_forms import OF_SEGMENTS
from deployments.upload_forms import OF_UPLOADS

DEPLOYED: tuple[DeployedFlow, ...] = (
    RUN_CONNECTION,
    IMPORT_PROFILES,
    IMPORT_GROUPS,
    EXPORT_PROFILES,
    *LOOKING,
    REPLAY_REJECTS,
    *CHANGING,
    *OF_SEGMENTS,
    *OF_UPLOADS,
)
"""In the order in which the command line names their deployments."""
