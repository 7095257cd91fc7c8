"""What an operator sees. Django looks for the admin's pages here."""

from streaming.admin import sessions  # noqa: F401  # registers them
