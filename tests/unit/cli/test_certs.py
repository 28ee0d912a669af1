"""`askonce certs`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from askonce.trust import ca_info, ensure_ca

type Askonce = Callable[..., Any]


def test_certs_describe_the_authority(askonce: Askonce, tmp_path: Path) -> None:
    ensure_ca(tmp_path / "certs", ["api.openai.com"], environ={})
    info = ca_info(tmp_path / "certs")
    assert askonce("certs").out.splitlines() == [
        f"certificate  {tmp_path}/certs/mitmproxy-ca-cert.pem",
        f"    SHA-256  {info.fingerprint}",
        f"    expires  {info.not_after:%Y-%m-%d}",
        "vouches for  api.openai.com",
        "             askonce.internal",
    ]
    assert json.loads(askonce("certs", "--json").out)["hosts"] == ["api.openai.com", "askonce.internal"]
    assert askonce("certs", "path").out == f"{tmp_path}/certs/mitmproxy-ca-cert.pem\n"
    assert askonce("certs", "--certs", "certs", "path", "--bundle").out == f"{tmp_path}/certs/askonce-bundle.pem\n"
