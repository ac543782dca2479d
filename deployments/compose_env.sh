#!/bin/sh
# Prints fresh passwords for docker-compose.yml, as its .env: `make env`. Keep the file: the data of the volumes belongs to it.
set -eu

secret() { od -An -N"${1:-24}" -tx1 /dev/urandom | tr -d ' \n'; }

cat <<END
POSTGRES_PASSWORD=$(secret)
PREFECT_PASSWORD=$(secret)
VALKEY_PASSWORD=$(secret)
S3_ACCESS_KEY_ID=headrace
S3_SECRET_ACCESS_KEY=$(secret)
# Of the one principal of deployments/principals.yaml, whose access key id is HEADRACECOMPOSE00000.
API_CLIENT_SECRET=$(secret)
# Seals what the API keeps. Another one opens nothing of it.
API_MASTER_KEY=$(secret 32)
# Goes into the addresses of new domains. A domain's rows find their profiles only as long as it stays the same.
ADDRESS_SECRET=$(secret)
END
