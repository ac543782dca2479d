"""`python docs/howto/download.py s3://BUCKET/PREFIX FILE`: fetches the newest object below the prefix from the S3 of HEADRACE_S3_*."""

import sys

from headrace.cli.servers import access_of
from headrace.connections import S3Location
from headrace.settings import S3Settings
from object_store.access import connect

place, name = sys.argv[1:]
bucket, _, prefix = place.removeprefix("s3://").partition("/")
client = connect(access_of(S3Location(), S3Settings()), 1)
found = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
newest = max(found, key=lambda one: one["LastModified"])
client.download_file(bucket, newest["Key"], name)
