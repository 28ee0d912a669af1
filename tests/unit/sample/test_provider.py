"""The provider apart from its formats: counting, scripts, pace, encodings, connections, TLS."""

import asyncio
import gzip
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import httpx
import pytest
import trustme
import zstandard
from tests.support.waiting import PATIENCE, until

from askonce.sample import MODEL_PACE, Pace, SampleProvider
from askonce.sample import app as sample_app

CHAT = "/v1/chat/completions"
FRANCE = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}


@pytest.fixture
def control(provider: SampleProvider) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{provider.url}/__sample/", trust_env=False) as client:
        yield client


def test_stats_count_calls_and_connections_but_not_the_control_api(http: httpx.Client, control: httpx.Client) -> None:
    assert (control.get("stats").json()["calls"], control.get("stats").json()["connections"]) == (0, 0)
    http.post(CHAT, json=FRANCE, headers={"x-more": "yes"})
    http.get("/v1/models")
    stats = control.get("stats").json()
    assert (stats["calls"], stats["connections"], stats["left"]) == (2, 1, 0)
    assert stats["paths"] == {CHAT: 1, "/v1/models": 1}
    first, last = stats["requests"]
    assert last == stats["last"]
    assert (first["method"], first["path"], first["http_version"]) == ("POST", CHAT, "1.1")
    assert ["x-more", "yes"] in first["headers"]
    assert first["body"] == '{"model":"m","messages":[{"role":"user","content":"What is the capital of France?"}]}'
    control.post("reset")
    assert control.get("stats").json()["calls"] == control.get("stats").json()["connections"] == 0


def test_silent_connection_is_counted(provider: SampleProvider) -> None:
    with socket.create_connection(("127.0.0.1", provider.port)):
        until(lambda: provider.control.connections == 1)
    assert (provider.control.connections, provider.control.calls) == (1, 0)


def test_script_is_followed_to_the_letter_and_in_order(http: httpx.Client, control: httpx.Client) -> None:
    first = {"status": 503, "headers": {"retry-after": "7"}, "chunks": ["busy"]}
    second = {"headers": [["x-a", "1"], ["x-a", "2"]], "chunks": [{"base64": "AAE="}, {"data": "é", "delay": 0.01}]}
    assert control.post("script", json=[first, second]).json() == {"queued": 2}
    one, two, three = (http.post(CHAT, json=FRANCE) for _ in range(3))
    assert (one.status_code, one.headers["retry-after"], one.text) == (503, "7", "busy")
    assert (two.status_code, two.headers.get_list("x-a"), two.content) == (200, ["1", "2"], b"\x00\x01\xc3\xa9")
    assert three.json()["object"] == "chat.completion"


@pytest.mark.parametrize("asked", [[{"chunks": [{}]}], [{"content_encoding": "zip"}], {"chunks": 3}])
def test_bad_script_is_refused(control: httpx.Client, asked: object) -> None:
    response = control.post("script", json=asked)
    assert response.status_code == 400
    assert response.json()["error"]


def test_unknown_control_path(control: httpx.Client) -> None:
    assert control.get("script").status_code == 404
    assert control.post("settings", json={"speed": 1}).status_code == 400


def test_abort_cuts_the_body(http: httpx.Client, control: httpx.Client) -> None:
    control.post("script", json={"chunks": ["data: a\n\n"], "abort": True})
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), http.stream("POST", CHAT, json=FRANCE) as response:
        for part in response.iter_raw():
            received += part
    assert received == b"data: a\n\n"


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_content_encoding_of_answers_and_scripts(http: httpx.Client, control: httpx.Client, encoding: str) -> None:
    control.post("settings", json={"content_encoding": encoding})
    plain = http.post(CHAT, json=FRANCE)
    streamed = http.post(CHAT, json=FRANCE | {"stream": True})
    assert plain.headers["content-encoding"] == streamed.headers["content-encoding"] == encoding
    assert plain.json()["choices"][0]["message"]["content"] == "The capital of France is Paris."
    assert streamed.text.endswith("data: [DONE]\n\n")
    control.post("reset")
    assert "content-encoding" not in http.post(CHAT, json=FRANCE).headers
    control.post("script", json={"chunks": ["a", "b"], "content_encoding": encoding})
    assert http.post(CHAT, json=FRANCE).text == "ab"


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_encoded_requests_are_read(http: httpx.Client, encoding: str, encode: Callable[[bytes], bytes]) -> None:
    body = encode(b'{"model":"m","messages":[{"role":"user","content":"capital of France"}]}')
    response = http.post(CHAT, content=body, headers={"content-encoding": encoding})
    assert response.json()["choices"][0]["message"]["content"] == "The capital of France is Paris."
    assert http.post(CHAT, content=b"nonsense", headers={"content-encoding": encoding}).status_code == 400
    assert http.post(CHAT, content=body, headers={"content-encoding": "rot13"}).status_code == 400


def test_pace(http: httpx.Client, control: httpx.Client) -> None:
    control.post("settings", json={"first_token": 0.1, "per_token": 0.01})
    start = time.perf_counter()
    http.post(CHAT, json=FRANCE)
    plain = time.perf_counter() - start
    start = time.perf_counter()
    with http.stream("POST", CHAT, json=FRANCE | {"stream": True}) as response:
        times = [time.perf_counter() - start for _ in response.iter_lines()]
    assert times[0] >= 0.1
    assert times[-1] >= 0.19
    assert plain >= 0.2
    assert MODEL_PACE.first_token == 0.35


def test_the_first_piece_does_not_wait_for_the_others(http: httpx.Client, control: httpx.Client) -> None:
    control.post("settings", json={"per_token": 10 * PATIENCE})
    with http.stream("POST", CHAT, json=FRANCE | {"stream": True}) as response:
        assert next(response.iter_lines()).startswith("data: ")


def test_a_held_chunk_waits_until_it_is_released(http: httpx.Client, control: httpx.Client) -> None:
    control.post("script", json={"chunks": [{"data": one, "held": True} for one in ("a", "b")]})
    control.post("release", json={"chunks": 1})
    with http.stream("POST", CHAT, json=FRANCE) as response:
        parts = response.iter_text()
        assert next(parts) == "a"
        control.post("release", json={"chunks": 1})
        assert next(parts) == "b"
    control.post("settings", json={"is_held": True})
    control.post("release", json={"chunks": 2})
    for body in (FRANCE, FRANCE | {"stream": True}):
        assert "Paris" in http.post(CHAT, json=body).text


def test_caller_who_leaves_is_counted(provider: SampleProvider, http: httpx.Client) -> None:
    provider.control.set(first_token=0.0, per_token=5.0)
    with http.stream("POST", CHAT, json=FRANCE | {"stream": True}) as response:
        next(response.iter_raw())
    until(lambda: provider.control.left == 1)


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
@pytest.mark.parametrize("messages", [[[None, None]], "Hi", 5, {"role": "user"}])
def test_what_no_provider_could_make_sense_of_is_no_fault(http: httpx.Client, path: str, messages: object) -> None:
    response = http.post(path, json={"model": "m", "messages": messages}, headers={"x-api-key": "k"})
    assert response.status_code in (200, 400)
    assert response.headers["content-type"].startswith("application/json")


def test_paths_that_no_format_has(http: httpx.Client) -> None:
    assert http.get("/v1/models").json()["object"] == "list"
    assert http.get("/nothing").status_code == 404


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, ssl.SSLContext]:
    folder, ca = tmp_path_factory.mktemp("certificate"), trustme.CA()
    leaf = ca.issue_cert("api.openai.com", "127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    return folder / "cert.pem", folder / "key.pem", trusting


async def test_tls_with_http2(certificate: tuple[Path, Path, ssl.SSLContext]) -> None:
    cert, key, trusting = certificate
    async with (
        SampleProvider(cert=cert, key=key, pace=Pace()) as provider,
        httpx.AsyncClient(base_url=provider.url, http2=True, verify=trusting, trust_env=False) as client,
    ):
        client.headers["authorization"] = "Bearer k"
        answers = await asyncio.gather(*(client.post(CHAT, json=FRANCE) for _ in range(12)))
        assert {answer.http_version for answer in answers} == {"HTTP/2"}
        assert (provider.control.calls, provider.control.connections) == (12, 1)
        await client.post("/__sample/script", json={"chunks": ["a"], "abort": True})
        with pytest.raises(httpx.TransportError):
            await client.post(CHAT, json=FRANCE)


async def test_stop_does_not_wait_for_an_answer_under_way() -> None:
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": "Bearer k"}) as client:
        async with SampleProvider(pace=Pace(10 * PATIENCE)) as provider:
            asked = asyncio.create_task(client.post(provider.url + CHAT, json=FRANCE))
            await asyncio.to_thread(until, lambda: provider.control.calls == 1)
        with pytest.raises(httpx.TransportError):
            await asked


def test_port_that_is_taken(provider: SampleProvider) -> None:
    with pytest.raises(OSError, match="in use"):
        SampleProvider(port=provider.port)


def test_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        SampleProvider(cert=tmp_path / "none.pem", key=tmp_path / "none.key")


def test_command(certificate: tuple[Path, Path, ssl.SSLContext]) -> None:
    cert, key, trusting = certificate
    command = [sys.executable, "-m", "askonce.sample", "--cert", str(cert), "--key", str(key), "--first-token", "0"]
    with subprocess.Popen([*command, "--per-token", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        answer = httpx.post(url + CHAT, json=FRANCE, verify=trusting, trust_env=False, headers={"authorization": "k"})
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_app_asks_plainly_and_streamed(provider: SampleProvider) -> None:
    environment = os.environ | {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{provider.url}/v1"}
    asked = subprocess.run(
        [sys.executable, str(sample_app.__file__)],
        input="What is the capital of France?\nstream: What is the capital of Germany?\n",
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    plain, streamed = map(json.loads, asked.stdout.splitlines())
    assert (plain["answer"], streamed["answer"]) == (
        "The capital of France is Paris.",
        "The capital of Germany is Berlin.",
    )
    assert 0 < streamed["first_word_seconds"] <= streamed["seconds"]
    assert plain["cache_status"] is None
    assert "askonce" not in Path(sample_app.__file__).read_text().lower().replace("knows nothing of askonce", "")
    assert provider.control.paths == {CHAT: 2}
