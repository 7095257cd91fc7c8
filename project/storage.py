"""How the static files are stored: under names that hold a hash of their content."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped library
    # Without it, a module imported by another keeps the name without the hash.
    support_js_module_import_aggregation = True
