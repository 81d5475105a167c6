#!/usr/bin/env bash
# Install one set of packages into .venv: runtime (a race), notebooks (and Jupyter) or dev (and every check).
#
# A set is installed once, and again when the requirements in pyproject.toml change or when TORCH or PIP_ARGS is
# given. The record that says so is written last: an interrupted install is never taken for a finished one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

set=${1:?usage: tools/setup.sh runtime|notebooks|dev}
python=${PYTHON:-python3}
venv_python=.venv/bin/python
log=.venv/install.log
is_supported='import sys; sys.exit(sys.version_info < (3, 11))'

fail() {
    echo "setup: $*" >&2
    exit 1
}

case $set in
    runtime) extra="" includes="runtime" ;;
    notebooks) extra="[notebooks]" includes="runtime notebooks" ;;
    dev) extra="[dev]" includes="runtime notebooks dev" ;;
    *) fail "$set is not a set of packages: it can be runtime, notebooks or dev." ;;
esac

# The virtual environment: kept where it works, made anew where it is missing, half made or too old.
if ! $venv_python -c "import pip; $is_supported" > /dev/null 2>&1; then
    "$python" -c "" > /dev/null 2>&1 || fail "$python does not run: install Python 3.11 or newer, or name one with PYTHON=<interpreter>."
    "$python" -c "$is_supported" ||
        fail "$python is $("$python" -V 2>&1), which is too old: name Python 3.11 or newer with PYTHON=<interpreter>."
    "$python" -m venv --clear .venv > /dev/null 2>&1 ||
        fail "$python cannot make a virtual environment in .venv: install its venv module (Debian: python3-venv)."
fi

# What is asked for, and where: an editable install points at its folder.
requirements=$($venv_python -c '
import hashlib, json, os, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
needed = [os.getcwd(), project["dependencies"], project["optional-dependencies"]]
print(hashlib.sha256(json.dumps(needed).encode()).hexdigest())')
if [ -z "${TORCH:-}${PIP_ARGS:-}" ] && [ "$(cat ".venv/installed-$set" 2> /dev/null)" = "$requirements" ]; then
    exit 0
fi

show_progress() {
    if [ -t 1 ]; then
        awk '/^Collecting|^Installing/ { printf "\r\033[K  %s %s", tolower($1), $1 == "Collecting" ? $2 : "packages"; fflush() }
             END { printf "\r\033[K" }'
    else
        cat > /dev/null
    fi
}

echo "setup: installing the $set packages into .venv (minutes the first time; log: $log)"
rm -f .venv/installed-*
# PIP_ARGS is a list of words.
# shellcheck disable=SC2086
if ! $venv_python -m pip install --no-input --progress-bar off ${PIP_ARGS:-} ${TORCH:+"$TORCH"} --editable ".$extra" 2>&1 |
    tee "$log" | show_progress; then
    if grep -qE "NewConnectionError|NameResolutionError|Failed to establish|ConnectTimeout|ReadTimeout|Network is unreachable" "$log"; then
        fail "no package index could be reached: connect to the network (or name an index with PIP_ARGS), then run the same command again."
    fi
    grep -iE "^ *error" "$log" | tail -n 5 >&2 || true
    fail "pip could not install the packages: the lines above say why, $log says more."
fi

for name in $includes; do
    echo "$requirements" > ".venv/installed-$name"
done
echo "setup: done"
