"""Content-encodings: what is decoded is what was encoded, however it was, and never more than was allowed."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from askonce.calls.decoding import TooLarge, decode_content


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
}
CODED = [name for name in ENCODERS if name != "identity"]
MOST = 10 << 20


@given(st.binary(max_size=2000), st.lists(st.sampled_from(sorted(ENCODERS)), max_size=4))
def test_what_was_encoded_comes_back(data: bytes, codings: list[str]) -> None:
    encoded = data
    for name in codings:
        encoded = ENCODERS[name](encoded)
    assert decode_content(encoded, ", ".join(codings).upper(), MOST) == data


@given(st.binary(max_size=2000))
def test_deflate_without_a_frame(data: bytes) -> None:
    assert decode_content(raw_deflate(data), "deflate", MOST) == data


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("size", [1, 256 << 10, (256 << 10) + 1, 3_000_000])
def test_large_bodies(name: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert decode_content(ENCODERS[name](data[:size]), name, size) == data[:size]


def test_gzip_in_members_and_padded() -> None:
    assert decode_content(gzip.compress(b"a") + gzip.compress(b"b") + b"\0" * 7, "gzip", 2) == b"ab"


def test_zstd_in_frames() -> None:
    assert decode_content(zstandard.compress(b"a") + zstandard.compress(b"b"), "zstd", 2) == b"ab"


@pytest.mark.parametrize("name", CODED)
def test_more_than_the_limit_is_refused_before_it_is_there(name: str) -> None:
    coded = ENCODERS[name](bytes(4 << 20))
    assert len(coded) < 10_000
    with pytest.raises(TooLarge, match="more than 65536 bytes"):
        decode_content(coded, name, 64 << 10)
    assert decode_content(coded, name, 4 << 20) == bytes(4 << 20)


@pytest.mark.parametrize("name", CODED)
def test_the_limit_holds_for_what_is_between_two_codings(name: str) -> None:
    with pytest.raises(TooLarge):
        decode_content(ENCODERS[name](gzip.compress(bytes(1 << 20)) + bytes(1 << 20)), f"gzip, {name}", 64 << 10)


@pytest.mark.parametrize(
    ("body", "codings", "why"),
    [
        (b"x", "gzip, gzip, gzip, gzip, gzip", "5 content-encodings"),
        (b"x", "rot13", "unknown content-encoding 'rot13'"),
        (b"no gzip", "gzip", "does not decode as gzip"),
        (b"no deflate", "deflate", "does not decode as deflate"),
        (b"\xff no brotli", "br", "does not decode as br"),
        (b"no zstd", "zstd", "does not decode as zstd"),
        (gzip.compress(b"hello", mtime=0)[:-9], "gzip", "cut off"),
        (zlib.compress(b"hello")[:-5], "deflate", "cut off"),
        (brotli.compress(b"hello" * 99)[:-2], "br", "cut off"),
        (gzip.compress(b"", mtime=0) * 65, "gzip", "more than 64 gzip members"),
    ],
)
def test_what_does_not_decode_says_so(body: bytes, codings: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_content(body, codings, MOST)


def test_a_zstd_window_beyond_that_of_http_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=24)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    coded = wide.compress(b"a" * 100) + wide.flush()
    with pytest.raises(ValueError, match="zstd"):
        decode_content(coded, "zstd", MOST)


@pytest.mark.parametrize("codings", ["", "identity", " , ", "gzip"])
def test_an_empty_body_has_nothing_to_take_off(codings: str) -> None:
    assert decode_content(b"", codings, 0) == b""


def test_what_was_decoded_of_a_larger_body_is_not_kept_with_the_error() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge) as told:
            decode_content(gzip.compress(bytes(9 << 20)), "gzip", 8 << 20)
        assert told.value.__traceback__
        assert tracemalloc.get_traced_memory()[0] < 2 << 20
    finally:
        tracemalloc.stop()
