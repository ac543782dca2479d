"""Upload jobs below HTTP, for tests: domains of the API, jobs, what is uploaded for them, and their runs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from api.receive_upload import UploadPlace, receiving
from headrace.master_key import derived_key
from headrace.merge import Profile
from headrace.schema import initial_schema
from headrace.settings import UploadSettings
from headrace.standard_fields import standard_domain
from headrace.upload_jobs import definition_from_api
from profile_store import registry, upload_jobs
from profile_store.upload_jobs import UploadJob
from streaming.importing.context import ImportContext
from streaming.importing.run_upload import run_upload
from streaming.topics import make_topics
from tests.pipeline import Pipeline

MASTER_KEY = "0123456789abcdef" * 4
KEY = bytes(range(32))
BUCKET = "headrace-uploads"
FIELDS = {
    "asset_id": {"Source": "asset_id", "Target": "_profile.AccountNumber", "ContentType": "STRING"},
    "name": {"Source": "asset_name", "Target": "_profile.AdditionalInformation"},
    "mail": {"Source": "mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
    "phone": {"Source": "phone", "Target": "_profile.PhoneNumber", "ContentType": "PHONE_NUMBER"},
    "price": {"Source": "price", "Target": "_profile.Attributes.price", "ContentType": "NUMBER"},
    "city": {"Source": "city", "Target": "_profile.Address.City", "ContentType": "NAME"},
}
HEADER = "asset_id,asset_name,mail,phone,price,city\n"


@dataclass
class Uploads:
    """One domain of the API, with all its servers. `prefix`: that the account numbers of one test's records begin with."""

    real: Pipeline
    domain: str
    settings: UploadSettings
    prefix: str = "A"
    master_key: str = MASTER_KEY

    @property
    def context(self) -> ImportContext:
        return replace(self.real.context, master_key=SecretStr(self.master_key))

    @property
    def place(self) -> UploadPlace:
        return UploadPlace(self.real.store, self.real.objects, self.settings, derived_key(SecretStr(self.master_key), "upload keys"))

    def make_domain(self, partitions: int = 4) -> None:
        domain = standard_domain(self.domain, partitions)
        make_topics(self.real.settings.kafka, self.domain, partitions)
        registry.create_domain(self.real.store, domain, initial_schema(domain), "", "api")

    def job(self, fields: dict[str, Any] | None = None, key: str = "asset_id", **more: Any) -> str:
        """Created: its id."""
        request = {"DisplayName": "assets", "Fields": FIELDS if fields is None else fields, "UniqueKey": key, **more}
        return upload_jobs.create(self.real.store, self.domain, definition_from_api(request)).id

    def upload(self, job_id: str, data: bytes, key: bytes = KEY) -> None:
        with receiving(self.place, self.domain, job_id, key) as received:
            for start in range(0, len(data), 700_000):
                received.write(data[start : start + 700_000])
        assert received.noted is not None
        assert received.noted.done

    def started(self, data: bytes, **job: Any) -> str:
        """A job with an upload, in progress."""
        job_id = self.job(**job)
        self.upload(job_id, data)
        assert upload_jobs.start(self.real.store, self.domain, job_id).done
        return job_id

    def run(self, job_id: str, context: ImportContext | None = None) -> UploadJob:
        return run_upload(context or self.context, self.settings, self.domain, job_id, uuid.uuid4().hex)

    def found(self, job_id: str) -> UploadJob:
        found = upload_jobs.find(self.real.store, self.domain, job_id)
        assert found is not None
        return found

    def rows(self, count: int, first: int = 0) -> bytes:
        """A file of so many good records."""
        lines = (
            f"{self.prefix}{n},Laptop {n},{self.prefix}{n}@example.com,+1206555{n % 10000:04d},{n}.50,Oslo"
            for n in range(first, first + count)
        )
        return (HEADER + "\n".join(lines) + "\n").encode()

    def profiles(self) -> dict[str, Profile]:
        """This test's, by their account numbers."""
        found = {str(one.get("AccountNumber", "")): one for one in self.real.profiles(self.domain).values()}
        return {number: one for number, one in found.items() if number.startswith(self.prefix)}

    def held(self) -> list[str]:
        """Keys of the uploaded files that are there; files of rejects are not among them."""
        keys = (one.version.key for one in self.real.objects.held(self.settings.bucket, f"_headrace/uploads/{self.domain}/"))
        return [key for key in keys if "/rejects/" not in key]
