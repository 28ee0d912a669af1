#!/usr/bin/env bash
# onnxruntime 1.31.1 (1.28.0 did not; 1.29.0, 1.30.0 and 1.31.0 do as well), Linux
#
# Does:     `import onnxruntime` makes an id of the machine and a database in ~/.cache/Microsoft/DeveloperTools/.onnxruntime and begins a thread, by which it
#           sends to its makers what is loaded; nothing is printed. Privacy.md in the package says so. onnxruntime.disable_telemetry_events() comes too late
#           for that: it can only be called once the module is imported, and then all of it is there. ORT_DISABLE_TELEMETRY=1, set before, is heeded.
# Expected: what runs models on this machine writes nothing at home and calls nobody, unless asked; or the function that says "disable" undoes it.
# Output:   as it is:                    2 files at home, 1 threads more
#           disable_telemetry_events():  2 files at home, 1 threads more
#           ORT_DISABLE_TELEMETRY=1:     0 files at home, 0 threads more
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet onnxruntime==1.31.1 numpy==2.5.5

look() { # NAME HOME CODE
    mkdir "$2"
    HOME=$2 XDG_CACHE_HOME= OPENBLAS_NUM_THREADS=1 "$box/venv/bin/python" - "$1" "$2" "$3" <<'EOF'
import os
import sys
from pathlib import Path

import numpy  # which has threads of its own


def threads():
    return len(os.listdir("/proc/self/task"))


name, home, code = sys.argv[1:]
before = threads()
exec(code)
files = [path.name for path in Path(home).rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm", "-journal"))]
print(f"{name:28} {len(files)} files at home, {threads() - before} threads more")
EOF
}

unset ORT_DISABLE_TELEMETRY
one=$(look "as it is:" "$box/one" "import onnxruntime")
two=$(look "disable_telemetry_events():" "$box/two" "import onnxruntime; onnxruntime.disable_telemetry_events()")
three=$(ORT_DISABLE_TELEMETRY=1 look "ORT_DISABLE_TELEMETRY=1:" "$box/three" "import onnxruntime")
printf '%s\n' "$one" "$two" "$three"
[[ $one == *" 2 files"*" 1 threads"* && $two == *" 2 files"*" 1 threads"* && $three == *" 0 files"*" 0 threads"* ]]
