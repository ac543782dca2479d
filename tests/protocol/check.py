"""What must be true when every import is over: each profile is what its rows make of it, one after the other, with the claims as they were decided."""

from __future__ import annotations

from collections import Counter

from tests.protocol.cluster import Cluster
from tests.protocol.flow import COMPLETE, OUTCOMES
from tests.protocol.model import SUPPRESSED, Address, Claim, Grave, Profile


def check(cluster: Cluster) -> str:
    """What is wrong; empty if nothing is."""
    profiles: dict[Address, Profile] = {}
    graves: list[Grave] = []
    for node in cluster.nodes:
        profiles |= {address: value for address, value in node.live.keys.items() if isinstance(value, Profile)}
        graves += node.live.graves
    counted: dict[int, Counter[str]] = {seq: Counter() for seq in cluster.domain.live.results}
    lines: Counter[tuple[int, int]] = Counter()
    for own, profile in [*profiles.items(), *((grave.address, grave.profile) for grave in graves)]:
        said = check_story(cluster, own, profile, counted)
        if said:
            return said
        lines.update((seq, row.line) for seq, _, row in profile.story)
    if any(times > 1 for times in lines.values()):
        return "a row was merged twice"
    return check_results(cluster, counted, graves) or check_identifiers(cluster, profiles, graves)


def check_story(cluster: Cluster, own: Address, profile: Profile, counted: dict[int, Counter[str]]) -> str:
    """Fold the profile's rows again, every claim decided beforehand."""
    total, mail, bound, created = 0, None, {own}, False
    last: dict[tuple[int, Address], int] = {}
    for seq, token, row in profile.story:
        if seq not in counted or cluster.domain.live.registrations[seq].token != token:
            return "a row of an import that nobody knows"
        if last.get((seq, row.link), -1) >= row.line:
            return "rows of one link out of order"
        last[seq, row.link] = row.line
        total += row.amount
        changes = row.amount != 0
        if row.mail is not None:
            verdicts = cluster.nodes[row.mail % cluster.partitions].live.verdicts
            granted = row.mail in bound or row.mail == row.link or verdicts.get((token, Claim(row.mail, own)))
            if granted is None:
                return "a claim that nobody decided"
            if granted:
                changes |= row.mail not in bound or row.mail != mail
                mail = row.mail
                bound.add(row.mail)
        counted[seq]["created" if not created else "updated" if changes else "unchanged"] += 1
        created = True
    if profile.total != total:
        return "a sum is wrong"
    if profile.mail != mail:
        return "the last granted mail is not the value"
    return "" if profile.bound(own) == bound else "bound addresses that were not granted, or the other way round"


def check_results(cluster: Cluster, counted: dict[int, Counter[str]], graves: list[Grave]) -> str:
    for seq, result in cluster.domain.live.results.items():
        job, counts = result.registration.job, result.counts
        if job.erased is not None:
            counted[seq]["updated"] += sum(grave.seq == seq for grave in graves)
        if any(counts.get(name, 0) != counted[seq][name] for name in OUTCOMES if name != "skipped"):
            return f"import {seq}: counts are not what was done"
        if result.state == COMPLETE and sum(counts.get(name, 0) for name in OUTCOMES) != max(1, len(job.rows)):
            return f"import {seq}: rows are not conserved"
        if (result.state == COMPLETE) != (job.fails_after is None):
            return f"import {seq} ended {result.state}"
    if len(cluster.domain.live.results) != len(cluster.jobs):
        return "an import is over without a result"
    for source, node in enumerate(cluster.nodes):
        for target, other in enumerate(cluster.nodes):
            if node.live.last("to", target) != other.live.last("from", source):
                return "a message that was never heard"
    return ""


def check_identifiers(cluster: Cluster, profiles: dict[Address, Profile], graves: list[Grave]) -> str:
    """Each identifier of one profile only, pointers and records of one mind, the erased gone."""
    owners: dict[Address, Address] = {}
    for own, profile in profiles.items():
        for address in profile.bound(own):
            if address in owners:
                return "an identifier has two profiles"
            owners[address] = own
    there = {address: value for node in cluster.nodes for address, value in node.live.keys.items()}
    for address, value in there.items():
        if value != SUPPRESSED and owners.get(address) != (address if isinstance(value, Profile) else value):
            return "a pointer that its profile does not know"
    if any(address not in there or there[address] == SUPPRESSED for address in owners):
        return "a bound address that leads nowhere"
    for grave in graves:
        if grave.suppress and any(there.get(address) != SUPPRESSED for address in grave.profile.bound(grave.address)):
            return "an address that was erased for good is back"
    for result in cluster.domain.live.results.values():
        erased = result.registration.job.erased
        if erased is None or erased.address not in owners:
            continue
        own, seq = owners[erased.address], result.registration.seq
        if bound_before(cluster, own, profiles[own], seq, erased.address):
            return "an erased profile is still there"
    return ""


def bound_before(cluster: Cluster, own: Address, profile: Profile, seq: int, address: Address) -> bool:
    bound = {own} if any(one < seq for one, _, _ in profile.story) else set()
    for one, token, row in profile.story:
        if one < seq and row.mail is not None:
            verdicts = cluster.nodes[row.mail % cluster.partitions].live.verdicts
            if row.mail == row.link or verdicts.get((token, Claim(row.mail, own))):
                bound.add(row.mail)
    return address in bound
