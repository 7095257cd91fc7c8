"""What an origin is: scheme, host and port of a page, as browsers say them."""

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_origin(origin: str) -> tuple[str, str, int] | None:
    """Return what two texts for the same origin have in common; None if it is none."""
    try:
        parts = urlsplit(origin.lower())
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):  # "null" too.
        return None
    # An origin has nothing else: no user, no path.
    is_bare = parts.hostname is not None and origin.count("/") == 2 and "@" not in origin
    return (parts.scheme, parts.hostname or "", port) if is_bare else None
