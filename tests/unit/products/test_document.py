"""The sections of rules.yaml that belong to products: each mistake in them is named with its line."""

import pytest

from askonce.products.document import Config
from askonce.rules import ConfigError, Document

RULE = "version: 1\nupstreams: [{name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat}]\n"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("products: {bogus: 1}", "rules.yaml:3: products.bogus: unknown setting"),
        ("products:\n  semcache: {ttl: soon}", "rules.yaml:4: products.semcache.ttl: expected a duration such as"),
        ("products:\n  gateway: {rate: often}", "rules.yaml:4: products.gateway.rate: expected"),
        (
            "products:\n  cachecore:\n    secret: short",
            "rules.yaml:5: products.cachecore.secret: string should have at",
        ),
        ("products:\n  langcache: {caches: {a: {ttl: 0}}}", "rules.yaml:4: products.langcache.caches.a.ttl: input"),
        ("products:\n  promptcache: {high_threshold: 0.1}", "rules.yaml:4: products.promptcache: high_threshold"),
        ("products:\n  provider_keys: {openai: 5}", "rules.yaml:4: products.provider_keys.openai: input should be a"),
    ],
)
def test_a_mistake_in_a_products_section_is_named_with_its_line(section: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.parse(RULE + section)
    assert str(caught.value).startswith(expected)


def test_the_rest_of_the_file_is_checked_as_without_products() -> None:
    told = Config.parse(RULE)
    assert Document.model_validate(told.model_dump(exclude={"products"})) == Document.parse(RULE)
    assert told.products.provider_keys.of("voyage") is None
    with pytest.raises(ConfigError, match=r"^rules\.yaml:3: products: unknown setting$"):
        Document.parse(RULE + "products: {}")


def test_a_cache_of_langcache_takes_what_it_leaves_out_from_the_section() -> None:
    told = Config.parse(RULE + "products: {langcache: {ttl: 1h, caches: {a: {threshold: 0.9}}}}").products.langcache
    assert (told.cache("a").threshold, told.cache("a").ttl) == (0.9, 3600)
    assert (told.cache("b").threshold, told.cache("b").ttl) == (told.threshold, 3600)
