"""What PromptCache's users change while it runs: thresholds, the verifier's switch, the provider.

One rule: a change is taken up whole or not at all, and none outlives the process; rules.yaml has the starting values.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from askonce.cache import Cache, ClientOptions, Embedder
from askonce.cache.embed import OpenAIEmbedder, find_embedder
from askonce.calls.verifier import Asking
from askonce.products.keys import KeyName, KeyOf
from askonce.products.promptcache.section import PromptCacheSpec, ProviderSpec

__all__ = ["ChatProvider", "PromptCacheState", "Thresholds", "WarmEntry", "WarmPrompts", "Warmed"]

ChatProvider = Literal["openai", "mistral", "claude"]
CHAT_PROVIDERS: tuple[ChatProvider, ...] = get_args(ChatProvider)
_LOCAL = "wordllama"
_EMBEDDING_KEYS: dict[ChatProvider, KeyName] = {"openai": "openai", "mistral": "mistral", "claude": "voyage"}
"""Provider -> the name under `products.provider_keys` of the key that its embeddings need."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How near is near enough, in raw cosine."""

    high: float
    low: float

    def __post_init__(self) -> None:
        for name, value in (("high", self.high), ("low", self.low)):
            if not 0 <= value <= 1:  # NaN is not within, either
                raise ValueError(f"{name}_threshold must be between 0 and 1.0, got {value:.4f}")
        if self.high <= self.low:
            raise ValueError(f"high_threshold ({self.high:.4f}) must be greater than low_threshold ({self.low:.4f})")


@dataclass(frozen=True, slots=True)
class WarmEntry:
    """An answer to be served before anybody asked."""

    prompt: str
    response: Any
    model: str = ""
    """For calls of this model; the response's where it is left out, its date taken off."""
    request: dict[str, Any] | None = None
    """The request that is to be answered; without it, one that has nothing but the model and the prompt."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """What became of one entry."""

    key: str = ""
    error: str = ""
    """Why it is not kept; empty where it is."""


type WarmPrompts = Callable[[Sequence[WarmEntry], str], Awaitable[list[Warmed]]]
"""(entries, namespace) -> what became of each, in their order."""


class PromptCacheState:
    """Belongs to one event loop."""

    def __init__(
        self,
        spec: Callable[[], PromptCacheSpec],
        key: KeyOf,
        cache: Cache,
        *,
        embedder: str,
        client_options: ClientOptions = lambda _: {},
    ) -> None:
        """`embedder` is the name of the one that rules.yaml asks for."""
        self._spec, self.key, self._cache, self._client_options = spec, key, cache, client_options
        self._thresholds: Thresholds | None = None
        self._gray_zone: bool | None = None
        self._locals = tuple(dict.fromkeys((embedder, _LOCAL)))
        self._switching = asyncio.Lock()
        self.provider: str = embedder
        """Who makes the vectors: a chat provider, or an embedder by name."""
        self.chat_provider: ChatProvider = "openai"
        """Who is asked what the cache cannot answer, and the verifier's questions."""

    @property
    def spec(self) -> PromptCacheSpec:
        return self._spec()

    @property
    def thresholds(self) -> Thresholds:
        return self._thresholds or Thresholds(self.spec.high_threshold, self.spec.low_threshold)

    @property
    def gray_zone(self) -> bool:
        """The verifier is asked about what thresholds and judge leave open."""
        return self.spec.gray_zone_verifier if self._gray_zone is None else self._gray_zone

    @property
    def available(self) -> tuple[str, ...]:
        """The providers that may be switched to."""
        return (*CHAT_PROVIDERS, *(name for name in self._locals if name not in CHAT_PROVIDERS))

    def patch(self, high: float | None, low: float | None, gray_zone: bool | None) -> None:
        """Change what is given. Raises ValueError, having changed nothing, for thresholds that make no sense."""
        now = self.thresholds
        if high is not None or low is not None:
            self._thresholds = Thresholds(now.high if high is None else high, now.low if low is None else low)
        if gray_zone is not None:
            self._gray_zone = gray_zone

    async def switch(self, provider: str) -> OSError | None:
        """Have `provider` make the vectors from now on and, where it has a chat, answer as well.

        Raises ValueError for one that there is not or that has no key, OSError for one that refuses; then nothing has
        changed. One that only cannot answer at the moment is switched to, as PromptCache does without asking; what is
        returned then says why it cannot.
        """
        name = provider.strip().lower()
        if name not in self.available:
            raise ValueError(f"unsupported provider: {name} (supported: {', '.join(self.available)})")
        async with self._switching:
            if name == self.provider and self._cache.stats()["embedder"]:
                return None
            unreachable: list[OSError] = []
            if name in CHAT_PROVIDERS:
                await self._cache.use_embedder(self._remote(name, unreachable.append))
                self.chat_provider = name
            else:
                await self._cache.use_embedder(find_embedder(name, self._client_options))
            self.provider = name
            return unreachable[0] if unreachable else None

    def of(self, provider: ChatProvider) -> ProviderSpec:
        """Where a provider is reached, and which models are asked."""
        spec: ProviderSpec = getattr(self.spec, provider)
        return spec

    @property
    def verifier(self) -> Asking | None:
        """Whom the verifier asks; None where it is off, or the operator has no key for it."""
        key = self.key("anthropic" if self.chat_provider == "claude" else self.chat_provider)
        if not self.gray_zone or not key:
            return None
        spec = self.of(self.chat_provider)
        return Asking(spec.verify_url, spec.verify_model, key, self.spec.verify_timeout)

    def _remote(self, provider: ChatProvider, tell: Callable[[OSError], None]) -> Callable[[], Embedder]:
        spec, name = self.of(provider), _EMBEDDING_KEYS[provider]
        key = self.key(name)
        if not key:
            raise ValueError(f"provider {provider} has no key: set products.provider_keys.{name} in rules.yaml")

        def load() -> Embedder:
            embedder = OpenAIEmbedder(
                spec.embed_model,
                spec.embed_url,
                key=key,
                client_options=self._client_options,
                floats=provider != "claude",
            )
            try:
                _ = embedder.dimension
            except ConnectionError as error:
                tell(error)  # and asked again with the first text
            return embedder

        return load
