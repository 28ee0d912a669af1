"""One sample provider, without delays, for all tests here; each begins with its counters at zero."""

from collections.abc import Iterator

import httpx
import pytest

from askonce.sample import Pace, SampleProvider


@pytest.fixture(scope="session")
def _provider() -> Iterator[SampleProvider]:
    with SampleProvider(pace=Pace()) as provider:
        yield provider


@pytest.fixture
def provider(_provider: SampleProvider) -> SampleProvider:
    _provider.control.reset()
    return _provider


@pytest.fixture
def http(provider: SampleProvider) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=provider.url, trust_env=False, headers={"authorization": "Bearer k"}) as client:
        yield client
