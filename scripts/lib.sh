# Shared by the scripts in this directory: source it after "set -euo pipefail", from the repository's root.
# shellcheck shell=bash

say() {
    printf '\n==> %s\n' "$*"
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

require_python() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "Python 3.11 or later is needed as python3; on Debian: sudo apt-get install python3 python3-venv"
    # Debian ships ensurepip with python3-venv only.
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        fail "Python's venv is missing; get it with: sudo apt-get install python3-venv"
}

# Install Debian packages, in a subshell so that its trap is its own.
install_packages() (
    command -v apt-get >/dev/null || fail "apt-get is not here; please install by other means: $*"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || fail "as root, please run: apt-get install $*"

    # The servers' packages start them at once, and nobody asked for that: tests run servers of their own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    as_root apt-get update --quiet
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends "$@" </dev/null
)

# Make a virtual environment with the given requirements, unless the very same was made before.
make_venv() {
    local directory=$1
    shift
    if [ "$(cat "$directory/requirements" 2>/dev/null)" != "$*" ]; then
        rm -rf "$directory"
        python3 -m venv "$directory"
        "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
        # Last, so that an interrupted installation is made again.
        printf '%s\n' "$*" >"$directory/requirements"
    fi
}
