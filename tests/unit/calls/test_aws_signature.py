"""Which calls are signed, and which of their headers."""

import pytest

from askonce.calls.aws_signature import is_signed, signed_headers

SIGNED = {
    "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request, "
    "SignedHeaders=Cache-Control;host;x-amz-date, Signature=5d67"
}


def test_a_signature_and_what_it_covers() -> None:
    assert is_signed(SIGNED)
    assert signed_headers(SIGNED) == {"cache-control", "host", "x-amz-date"}
    assert signed_headers({"authorization": "AWS4-ECDSA-P256-SHA256 Credential=A,SignedHeaders=host,Signature=1"}) == {
        "host"
    }


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer AWS4-HMAC-SHA256 SignedHeaders=host"}, {"authorization": "AWS4"}]
)
def test_a_key_is_no_signature(headers: dict[str, str]) -> None:
    assert not is_signed(headers)
    assert signed_headers(headers) == frozenset()
