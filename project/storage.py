"""How the static files are stored: under names that hold a hash of their content."""

import re
from collections.abc import Iterator
from typing import Any

from django.core.files.base import ContentFile
from servestatic.storage import CompressedManifestStaticFilesStorage

OUR_SCRIPT = re.compile(r"streaming/[\w.-]+\.js")
# Lines that are nothing but a remark: a quarter of what the scripts weigh, compressed.
REMARKS = re.compile(rb"^[ \t]*(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/)\n", re.MULTILINE | re.DOTALL)


class StaticStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped library
    # Without it, a module imported by another keeps the name without the hash.
    support_js_module_import_aggregation = True

    def _save(self, name: str, content: Any) -> str:
        if OUR_SCRIPT.fullmatch(name):
            content = ContentFile(REMARKS.sub(b"", b"".join(content.chunks())))
        saved: str = super()._save(name, content)
        return saved

    def post_process(self, paths: dict[str, Any], *args: Any, **options: Any) -> Iterator[Any]:
        """Give the files their names, by what was saved of them and not by what it was made of."""
        ours = {name: (self, name) for name in paths if OUR_SCRIPT.fullmatch(name)}
        yield from super().post_process({**paths, **ours}, *args, **options)
