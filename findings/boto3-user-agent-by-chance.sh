#!/usr/bin/env bash
# boto3 1.44.8 (botocore 1.44.8)
#
# Does:     The same call has another User-Agent in the next process: the features behind `m/` are a set of strings, written in the order in which Python
#           holds it, and that changes with the seed of its hashes. A cache that has User-Agent in its key misses after every restart, by chance.
# Expected: the same call, the same header.
# Output:   m/E,b,Z,e
#           m/E,b,e,Z      (and so on, for eight seeds; nothing reaches the network)
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet boto3==1.44.8 botocore==1.44.8
export AWS_EC2_METADATA_DISABLED=true
for seed in 1 2 3 4 5 6 7 8; do PYTHONHASHSEED=$seed "$box/venv/bin/python" - <<'EOF'
import re
import boto3
from botocore.awsrequest import AWSResponse


class Body:
    def stream(self):
        yield b"{}"


def answer(request, **_):
    print(re.findall(r"m/\S*,\S*", request.headers["User-Agent"].decode())[0])
    return AWSResponse(request.url, 200, {"content-type": "application/json"}, Body())


client = boto3.client("bedrock-runtime", "us-east-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="example")
client.meta.events.register("before-send.bedrock-runtime.Converse", answer)
client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}])
EOF
done | tee "$box/seen"
[[ $(sort -u "$box/seen" | wc -l) -gt 1 ]]
