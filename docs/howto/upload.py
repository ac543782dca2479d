"""`python docs/howto/upload.py FILE s3://BUCKET/KEY`: puts a file into the S3 of HEADRACE_S3_*, whose bucket it makes if it is not there."""

import sys

from headrace.cli.servers import access_of
from headrace.connections import S3Location
from headrace.settings import S3Settings
from object_store.access import connect

name, place = sys.argv[1:]
bucket, _, key = place.removeprefix("s3://").partition("/")
client = connect(access_of(S3Location(), S3Settings()), 1)
if bucket not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
    client.create_bucket(Bucket=bucket)
client.upload_file(name, bucket, key)
