"""The words of the page's script, and the language that a client asks for."""

from functools import cache
from typing import Any

from django.conf import settings
from django.utils.translation import get_language, get_supported_language_variant
from django.utils.translation.trans_real import DjangoTranslation, parse_accept_lang_header
from django.views.i18n import JavaScriptCatalog


def script_words() -> dict[str, Any]:
    """Return the catalog of <live-step> in the language of the request, as the script reads it."""
    return _catalog(get_language() or settings.LANGUAGE_CODE)


@cache
def _catalog(language: str) -> dict[str, Any]:
    view = JavaScriptCatalog()
    view.translation = DjangoTranslation(
        language, domain="djangojs", localedirs=view.get_paths(["streaming"])
    )
    return {"language": language, "catalog": view.get_catalog()}


def accepted_language(scope: Any) -> str:
    """Return the site's language that suits a WebSocket's client best."""
    header = dict(scope["headers"]).get(b"accept-language", b"").decode("latin1")
    for language, _ in parse_accept_lang_header(header.lower()):
        try:
            return str(get_supported_language_variant(language))
        except LookupError:
            continue
    return str(settings.LANGUAGE_CODE)
