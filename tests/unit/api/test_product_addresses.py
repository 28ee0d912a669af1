"""Which view an address names, and whether a request came from another site's page."""

import pytest

from askonce.api.product_addresses import View, find_view, is_own_site

OWN = "askonce.internal"


@pytest.mark.parametrize(
    ("host", "path", "view"),
    [
        (OWN, "/v1/stats", View()),
        (OWN, "/", View()),
        (OWN, "", View()),
        (OWN, "/promptcache/v1/config", View("promptcache", "/promptcache")),
        (OWN, "/promptcache", View("promptcache", "/promptcache")),
        ("127.0.0.1", "/semcache-app/", View("semcache", "/semcache-app")),
        (OWN, "/gateway/docs", View("gateway", "/gateway")),
        (OWN, "/cachecore/v1/invalidate", View("cachecore", "/cachecore")),
        (OWN, "/langcache/v1/caches/x/flush", View("langcache", "/langcache")),
        (OWN, "/semcache/v1/put", View()),
        (OWN, "/gatewayed/docs", View()),
        (OWN, "/v1/gateway/docs", View()),
        (OWN, "//gateway/docs", View()),
        ("gateway.askonce.internal", "/docs", View("gateway")),
        ("semcache.askonce.internal", "/promptcache/x", View("semcache")),
        ("semcache-app.askonce.internal", "/", View("semcache")),
        ("nobody.askonce.internal", "/", View(None, "", False)),
        ("a.gateway.askonce.internal", "/", View(None, "", False)),
        ("gateway-askonce.internal", "/", View()),
    ],
)
def test_the_address_names_the_view(host: str, path: str, view: View) -> None:
    assert find_view(host, path, OWN) == view


@pytest.mark.parametrize(
    ("origin", "fetch_site", "own"),
    [
        (None, None, True),
        (None, "none", True),
        (None, "same-origin", True),
        (None, "cross-site", False),
        ("http://askonce.internal", "same-origin", True),
        ("http://ASKONCE.internal:80", None, True),
        ("https://askonce.internal", None, False),
        ("http://evil.example", None, False),
        ("null", None, False),
        ("", None, False),
    ],
)
def test_a_page_of_another_site_is_known(origin: str | None, fetch_site: str | None, own: bool) -> None:
    assert is_own_site(origin, fetch_site, "http://askonce.internal/v1/cache") is own
