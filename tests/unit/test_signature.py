"""SigV4 as the API verifies it: what boto3 signs is accepted, whatever is changed afterwards is not (SPEC U12)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from api.errors import ApiError
from api.signature import SignedRequest, verify
from tests.examples import examples
from tests.signed import KEY_ID, SECRET, signed

WINDOW = 300
SECRETS = {KEY_ID: SECRET, "HRTESTKEY0000000002": "another-secret-of-the-tests-4567"}
GROUPS = {
    "Groups": [{"Dimensions": [{"ProfileAttributes": {"FirstName": {"DimensionType": "INCLUSIVE", "Values": ["Zoë", "a b"]}}}]}],
    "Include": "ALL",
}


def refusal(request: SignedRequest, now: datetime | None = None, region: str = "") -> str:
    """The code that the request is refused with, always as 403; '' where it is accepted."""
    try:
        verify(request, SECRETS.get, now or datetime.now(UTC), WINDOW, region)
    except ApiError as error:
        return error.code if error.status == 403 else f"{error.code} with status {error.status}"
    return ""


def calls() -> list[SignedRequest]:
    return [
        signed("list_domains")[0],
        signed("list_domains", MaxResults=7, NextToken="a+b/c=d e")[0],
        signed("get_domain", DomainName="retail")[0],
        signed("get_domain", DomainName="no name/at%20all é..")[0],
        signed("create_segment_definition", DomainName="retail", SegmentDefinitionName="s", DisplayName="S", SegmentGroups=GROUPS)[0],
        signed("start_upload_job", DomainName="retail", JobId="0" * 32)[0],
    ]


@pytest.mark.spec("U12")
def test_what_boto3_signs_is_accepted() -> None:
    assert [refusal(one) for one in calls()] == [""] * 6


def with_header(request: SignedRequest, name: str, value: str) -> SignedRequest:
    return replace(request, headers=tuple((one, value if one == name else old) for one, old in request.headers))


def header(request: SignedRequest, name: str) -> str:
    return next(value for one, value in request.headers if one == name)


@pytest.mark.spec("U12")
def test_refusals_have_the_names_that_clients_know() -> None:
    request, _ = signed("get_domain", DomainName="retail")
    authorization = header(request, "authorization")
    without = replace(request, headers=tuple(one for one in request.headers if one[0] != "authorization"))
    now = datetime.now(UTC)
    assert refusal(without) == "MissingAuthenticationTokenException"
    assert refusal(with_header(request, "authorization", "Basic dXNlcg==")) == "IncompleteSignatureException"
    assert (
        refusal(with_header(request, "authorization", authorization.replace(KEY_ID, "HRTESTKEY9999999999")))
        == "UnrecognizedClientException"
    )
    assert refusal(replace(request, path="/domains/other")) == "InvalidSignatureException"
    assert refusal(request, now + timedelta(seconds=WINDOW + 2)) == "InvalidSignatureException"
    assert refusal(request, now - timedelta(seconds=WINDOW + 2)) == "InvalidSignatureException"
    assert refusal(request, now + timedelta(seconds=WINDOW - 2)) == ""
    assert refusal(request, region="eu-west-1") == "InvalidSignatureException"
    assert refusal(request, region="us-east-1") == ""


@pytest.mark.spec("U12")
def test_a_signature_in_the_query_is_none() -> None:
    request, _ = signed("get_domain", DomainName="retail")
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=" + "0" * 64
    bare = tuple(one for one in request.headers if one[0] != "authorization")
    assert refusal(replace(request, query=query, headers=bare)) == "MissingAuthenticationTokenException"
    assert refusal(replace(request, query=query)) == "InvalidSignatureException"


HEX = "0123456789abcdef"
AMZ = ["x-amz-target", "x-amz-user", "x-amz-security-token", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-a", "x-amz-acl"]


def _another(dice: random.Random, old: str, alphabet: str) -> str:
    at = dice.randrange(len(old))
    return old[:at] + dice.choice([one for one in alphabet if one != old[at]]) + old[at + 1 :]


def _path(dice: random.Random, one: SignedRequest) -> SignedRequest:
    changed = dice.choice(
        [
            one.path + dice.choice(["/", "//", "/.", "/..", "%00", "a", "/profiles", ";a", "%2F"]),
            "/" + one.path,
            one.path.replace("/", "//", 1),
            one.path.replace("/", "/./", 1),
            one.path.replace("/", "/a/../", 1),
            one.path.replace("domains", "d%6Fmains"),
            one.path.replace("domains", "Domains"),
            _another(dice, one.path, "abcXYZ09-_"),
            one.path[:-1],
            f"http://elsewhere{one.path}",
        ]
    )
    return replace(one, path=changed)


def _query(dice: random.Random, one: SignedRequest) -> SignedRequest:
    added = dice.choice(["a=b", "max-results=1", "next-token=x", "X-Amz-Date=20260101T000000Z", "a", "=", "&", "#"])
    if not one.query:
        return replace(one, query=added)
    changed = [
        f"{one.query}&{added}",
        one.query + "%20",
        one.query[:-1],
        _another(dice, one.query, "abc019"),
        one.query.replace("=", "%3D", 1),
        "",
    ]
    return replace(one, query=dice.choice(changed))


def _signed_header(dice: random.Random, one: SignedRequest) -> SignedRequest:
    """The value of a header that is signed changes, or it goes, or is there twice."""
    names = header(one, "authorization").split("SignedHeaders=")[1].split(",")[0].split(";")
    name = dice.choice(names)
    match dice.randrange(3):
        case 0:
            return with_header(one, name, header(one, name) + dice.choice(["x", ",x", "0", " y"]))
        case 1:
            return replace(one, headers=tuple(pair for pair in one.headers if pair[0] != name))
    return replace(one, headers=(*one.headers, (name, header(one, name))))


def _header_set(dice: random.Random, one: SignedRequest) -> SignedRequest:
    """What is said to be signed: more, less, in another order, twice."""
    authorization = header(one, "authorization")
    text = authorization.split("SignedHeaders=")[1].split(",")[0]
    names = text.split(";")
    shuffled = list(names)
    while shuffled == names:
        dice.shuffle(shuffled)
    less = [name for name in names if name != dice.choice(names)]
    while less == names:
        less = less[1:]
    changed = dice.choice(
        [shuffled, less, [*names, names[-1]], sorted([*names, "user-agent"]), [*names, "zz"], [""], [name.upper() for name in names]]
    )
    return with_header(one, "authorization", authorization.replace(f"SignedHeaders={text}", f"SignedHeaders={';'.join(changed)}"))


def _added(dice: random.Random, one: SignedRequest) -> SignedRequest:
    """An x-amz- header that nobody signed, or a second line of one that matters."""
    name = dice.choice([*AMZ, "host", "authorization", "content-length" if dice.random() < 0.5 else "x-http-method-override"])
    value = dice.choice(["a", header(one, "authorization"), header(one, "x-amz-date"), one.body_hash])
    if name == "content-length":
        return replace(one, headers=(*one.headers, (name, "0"), (name, "1")))
    return replace(one, headers=(*one.headers, (name, value)))


def _payload(dice: random.Random, one: SignedRequest) -> SignedRequest:
    return replace(one, body_hash=sha256(dice.randbytes(8)).hexdigest())


def _date(dice: random.Random, one: SignedRequest) -> SignedRequest:
    said = header(one, "x-amz-date")
    moment = datetime.strptime(said, "%Y%m%dT%H%M%SZ")
    other = (moment + timedelta(seconds=dice.choice([-86400, -3600, -1, 1, 60, 3600, 86400, 86400 * 365]))).strftime("%Y%m%dT%H%M%SZ")
    changed = dice.choice([other, said[:-1], said.lower(), said[:8], f"{said} ", f"{said}0", "", said.replace("T", " ")])
    if changed == f"{said} ":  # blanks around a value mean nothing in HTTP
        changed = other
    return with_header(one, "x-amz-date", changed)


def _credential(dice: random.Random, one: SignedRequest) -> SignedRequest:
    authorization = header(one, "authorization")
    changes = [
        (KEY_ID, dice.choice(["HRTESTKEY0000000002", "HRTESTKEY9999999999", KEY_ID.lower(), KEY_ID[:-1], ""])),
        ("/us-east-1/", dice.choice(["/eu-west-1/", "//", "/us-east-1a/", "/US-EAST-1/"])),
        ("/profile/", dice.choice(["/s3/", "//", "/profiles/"])),
        ("aws4_request", dice.choice(["aws4_requests", "aws3_request", ""])),
        ("AWS4-HMAC-SHA256", dice.choice(["AWS4-HMAC-SHA1", "AWS4-ECDSA-P256-SHA256", "aws4-hmac-sha256", ""])),
    ]
    old, new = dice.choice(changes)
    return with_header(one, "authorization", authorization.replace(old, new))


def _signature(dice: random.Random, one: SignedRequest) -> SignedRequest:
    authorization = header(one, "authorization")
    start, _, old = authorization.partition("Signature=")
    changed = dice.choice(
        [_another(dice, old, HEX), old[: dice.randrange(64)], old + dice.choice(HEX), "".join(dice.choices(HEX, k=64)), "0" * 64, f"{old},"]
    )
    return with_header(one, "authorization", f"{start}Signature={changed}")


def _truncated(dice: random.Random, one: SignedRequest) -> SignedRequest:
    authorization = header(one, "authorization")
    return with_header(one, "authorization", authorization[: dice.randrange(len(authorization))])


def _method(dice: random.Random, one: SignedRequest) -> SignedRequest:
    return replace(one, method=dice.choice([each for each in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD") if each != one.method]))


MUTATIONS: list[Callable[[random.Random, SignedRequest], SignedRequest]] = [
    _path,
    _query,
    _signed_header,
    _header_set,
    _added,
    _payload,
    _date,
    _credential,
    _signature,
    _truncated,
    _method,
]


@pytest.mark.spec("U12")
def test_no_mutated_request_is_accepted() -> None:
    """More than 100,000, of every kind as many (issue 6)."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    originals = calls()
    now = datetime.now(UTC)
    for number in range(examples(9_400)):
        original = originals[number % len(originals)]
        for mutate in MUTATIONS:
            mutated = mutate(dice, original)
            while mutated == original:
                mutated = mutate(dice, original)
            assert refusal(mutated, now), f"seed {seed}, number {number}: {mutate.__name__} was accepted: {mutated}"
    assert [refusal(one, now) for one in originals] == [""] * len(originals)
