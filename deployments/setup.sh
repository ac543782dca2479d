#!/bin/sh
# Makes .venv hold exactly what uv.lock says. Needs Python 3.11 or later with venv or pip; nothing is installed outside this checkout.
# An installed uv is used; without one, the release that uv.txt pins goes into .uv/, which git ignores.
set -eu
cd "$(dirname "$0")/.."

OLDEST_UV=0.8.0 # reads the lock file's format

# Others' settings would lead uv to another environment than .venv.
unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT CONDA_PREFIX PYTHONHOME 2>/dev/null || true

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if is_new_enough "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "Headrace needs Python 3.11 or later, and found none (${PYTHON:-python3, python3.14 … python3.11}; python3 here is: $(python3 --version 2>&1 || true))." \
        "Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv), or say where it is: make PYTHON=/path/to/python3.11"
}

is_usable_uv() {
    version=$("$1" --version 2>/dev/null | awk '{print $2}') || return 1
    [ -n "$version" ] && [ "$(printf '%s\n%s\n' "$OLDEST_UV" "$version" | sort -V | head -n 1)" = "$OLDEST_UV" ]
}

# Into .uv, by venv where Python has it, else by pip alone: --target is allowed where the system's Python is "externally managed" (PEP 668).
install_uv() {
    python=$1
    echo "No uv here: fetching $(grep '^uv' deployments/uv.txt) into .uv/"
    rm -rf .uv
    if "$python" -c 'import ensurepip, venv' 2>/dev/null && "$python" -m venv .uv; then
        .uv/bin/python -m pip install --quiet --disable-pip-version-check -r deployments/uv.txt
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --target .uv -r deployments/uv.txt
    else
        fail "$python has neither venv nor pip, and there is no uv: nothing here can install packages." \
            "Debian and Ubuntu keep them apart from Python: apt-get install python3-venv. Any system: install uv, then try again."
    fi
    cp deployments/uv.txt .uv/installed.txt
}

python=$(find_python)
if is_usable_uv uv; then
    uv=uv
else
    cmp -s deployments/uv.txt .uv/installed.txt || install_uv "$python"
    uv=.uv/bin/uv
fi

if [ -x .venv/bin/python ]; then
    "$uv" sync --frozen --all-extras --quiet
else
    echo "Installing the locked packages into .venv (first time: about a minute, 700 MB)"
    # Progress for a person who waits; a log does not need the list of packages.
    [ -t 2 ] && quiet= || quiet=--quiet
    # UV_PYTHON_DOWNLOADS: the Python that is here, never one from elsewhere.
    UV_PYTHON_DOWNLOADS=never "$uv" sync --frozen --all-extras $quiet --python "$python"
fi
touch .venv/.synced
