#!/usr/bin/env bash
# Sets Askonce up where that is needed, then runs it: `run.sh ARGS` is `askonce ARGS`, `run.sh` alone is `askonce serve`.
# `run.sh test [PYTEST ARGS]` runs every check; `run.sh lock [--upgrade]` writes requirements.lock.
#
# One rule: a start that finds everything in place begins no Python but Askonce's own, and needs no network.
set -euo pipefail

self=${BASH_SOURCE[0]}
while [ -L "$self" ]; do # macOS' readlink does not follow a chain
    folder=$(cd -P "$(dirname "$self")" && pwd)
    self=$(readlink "$self")
    case $self in /*) ;; *) self=$folder/$self ;; esac
done
root=$(cd -P "$(dirname "$self")" && pwd)
venv=$root/.venv
lock=$root/.venv.lock

say() { echo "askonce: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

# --- Python -----------------------------------------------------------------------------------------------------------

# Runs it, because a shim may be there and fail, and a Python may have been built without ssl or sqlite3.
# Newer versions are passed over: the libraries in the lock have no wheels for them yet.
suits() {
    "$1" -c 'import ssl, sqlite3, sys, zlib; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${ASKONCE_PYTHON:+"$ASKONCE_PYTHON"} python3.13 python3.12 python3.14 python3 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.{13,12,14}*/bin/python3; do
        if suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "no Python 3.12 to 3.14 that runs; asking uv for one"
    find_uv
    "$uv" python install --quiet 3.13 >&2 || fail "uv could not install Python 3.13; install Python 3.12 or later and run this again"
    "$uv" python find --no-project 3.13
}

# --- uv ---------------------------------------------------------------------------------------------------------------

is_recent_uv() { # 0.8 or later
    local version
    version=$("$1" --version 2>/dev/null) || return 1
    version=${version#uv }
    case $version in 0.[0-7].* | "") return 1 ;; esac
}

# Sets $uv: one that the machine has, or the one in the lock, installed by pip into the user's cache.
find_uv() {
    local version target python stanza
    if [ -n "${uv:-}" ]; then return; fi
    version=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' "$root/requirements.lock") || fail "requirements.lock is missing"
    target=${XDG_CACHE_HOME:-$HOME/.cache}/askonce/uv-$version
    for uv in uv "$target/bin/uv" "$HOME/.local/bin/uv"; do
        if is_recent_uv "$uv"; then return; fi
    done
    stanza=$(sed -n '/^uv==/,/^    #/p' "$root/requirements.lock")
    for python in "$@" python3 python; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            say "installing uv $version with $python -m pip"
            PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
                --target "$target" --upgrade -r <(echo "$stanza") >&2 || fail "pip could not install uv"
            uv=$target/bin/uv
            return
        fi
    done
    fail "uv is missing, and python3 has no pip to install it with; install uv or pip, then run this again"
}

# --- the environment --------------------------------------------------------------------------------------------------

# What the environment in .venv was made from, and where: it cannot be moved.
stamp() { echo "$root" "$1" && cksum <"$root/pyproject.toml" && cksum <"$root/requirements.lock"; }

is_set_up() { # run | test; what is set up for tests can run as well
    local made
    [ -x "$venv/bin/python" ] && [ -r "$venv/stamp" ] || return 1
    made=$(<"$venv/stamp")
    [ "$made" = "$(stamp test)" ] || [ "$made" = "$(stamp "$1")" ]
}

# Only one at a time; the lock is a link to the number of the process that holds it, so that a dead one can be told.
take_lock() {
    local owner waited=
    until [ "$(readlink "$lock")" = "$$" ]; do
        if ln -s "$$" "$lock" 2>/dev/null; then continue; fi
        owner=$(readlink "$lock") || continue
        if ! kill -0 "$owner" 2>/dev/null; then
            rm -f "$lock"
            # Another may have seen the same dead process, and remove what we put there: look again after it did.
            ln -s "$$" "$lock" 2>/dev/null || true
            sleep 0.3
            continue
        fi
        if [ -z "$waited" ]; then say "waiting for another set-up (process $owner)"; fi
        waited=yes
        sleep 0.2
    done
    trap 'rm -f "$lock"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

set_up() { # run | test
    local begin=$SECONDS python groups="--group build" quiet= compile=
    take_lock
    if ! is_set_up "$1"; then
        if [ "$1" = test ]; then groups="$groups --group dev"; fi
        python=$(find_python)
        find_uv "$python"
        say "setting up in .venv with $("$python" --version) ($python)"
        # Whatever an interrupted set-up left is not worth keeping: uv's cache makes a new one quick.
        rm -rf "$venv"
        if [ ! -t 2 ]; then quiet=--quiet; fi
        # Where Python is told to keep nothing that it compiled, as in many images, each start would compile anew and take
        # twice as long. Elsewhere the first start does it, and only for what it needs.
        if [ "$1" = run ] && [ -n "${PYTHONDONTWRITEBYTECODE-}" ]; then compile=--compile-bytecode; fi
        (
            cd "$root" &&
                "$uv" venv --quiet --no-project --python "$python" "$venv" &&
                # The lock holds every group; as constraints it gives versions and hashes to those that are asked for.
                # shellcheck disable=SC2086
                "$uv" pip install $quiet $compile --python "$venv" --require-hashes -r pyproject.toml --extra graph --group deep $groups -c requirements.lock &&
                "$uv" pip install --quiet --python "$venv" --no-deps --no-build-isolation --offline -e . &&
                if [ -n "$compile" ]; then "$venv/bin/python" -m compileall -q addon; fi
        ) >&2 || fail "the set-up failed; the next run tries again"
        stamp "$1" >"$venv/stamp.new" && mv "$venv/stamp.new" "$venv/stamp"
        say "ready after $((SECONDS - begin)) s"
    fi
    rm -f "$lock"
    trap - EXIT INT TERM HUP
}

# The tests of the page are skipped without a browser. Nothing is installed for who would have to be asked for a password.
need_browser() {
    if [ -n "${ASKONCE_TEST_BROWSER-}" ] || command -v chromium-headless-shell chromium chromium-browser google-chrome >/dev/null; then return; fi
    if [ "$EUID" != 0 ] || ! command -v apt-get >/dev/null; then return; fi
    say "installing chromium-headless-shell"
    { apt-get update && apt-get install --yes --no-install-recommends chromium-headless-shell; } >/dev/null 2>&1 ||
        say "no browser could be installed: the tests of the page are skipped"
}

# --- commands ---------------------------------------------------------------------------------------------------------

run_tests() {
    local failed="" bin=$venv/bin
    check() { # NAME COMMAND...
        say "$1"
        "${@:2}" || failed="$failed $1"
    }
    cd "$root"
    check "ruff" "$bin/ruff" check .
    check "format" "$bin/ruff" format --check .
    check "mypy" "$bin/mypy"
    check "imports" "$bin/lint-imports" --no-logo
    check "dead-code" "$bin/vulture"
    # All of them wait for processes half of the time, whatever the machine. A file's tests stay together: they share the
    # proxies they start. xdist would begin with the files of most tests, and be left with one that takes minutes.
    # The whole of them must run so much of the code; Python's own monitoring counts lines at no cost that could be seen.
    # What the processes of the tests compile is kept for those after them: it is half of what a start takes.
    unset PYTHONDONTWRITEBYTECODE
    if [ $# -eq 0 ]; then set -- --numprocesses 3 --dist loadfile --no-loadscope-reorder --cov; fi
    COVERAGE_CORE=sysmon check "pytest" "$bin/python" -m pytest "$@"
    if [ -n "$failed" ]; then fail "failed:$failed"; fi
    say "everything passed"
}

write_lock() {
    cd "$root"
    touch requirements.lock
    find_uv
    # Versions that are in the file stay where nothing asks for others; `--upgrade` takes the newest.
    "$uv" pip compile pyproject.toml --group dev --group build --group installer --universal --python-version 3.12 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "./run.sh lock" \
        --quiet --output-file requirements.lock "$@"
}

case ${1-} in
test)
    is_set_up test || set_up test
    need_browser
    run_tests "${@:2}"
    ;;
lock)
    write_lock "${@:2}"
    ;;
*)
    is_set_up run || set_up run
    # Run from anywhere, it is always the same instance.
    export ASKONCE_RULES=${ASKONCE_RULES:-$root/rules.yaml}
    export ASKONCE_DATA=${ASKONCE_DATA:-$root/data}
    export ASKONCE_CERTS=${ASKONCE_CERTS:-$root/certs}
    if [ $# -eq 0 ]; then set -- serve; fi
    exec "$venv/bin/askonce" "$@"
    ;;
esac
