"""The core is plain Python."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("engine", "delivery")
    for path in (ROOT / "streaming" / folder).rglob("*.py")
)
FOREIGN = ("django", "channels", "asyncio", "twisted")


@pytest.mark.parametrize("module", CORE)
def test_core_module_imports_no_framework(module):
    """Imported in a fresh interpreter, a core module brings no framework with it."""
    program = (
        f"import sys, {module}; "
        f"print([name for name in {FOREIGN!r} if name in sys.modules], end='')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert (result.stdout, result.stderr) == ("[]", "")


def test_app_imports_neither_project_nor_gallery():
    """Nothing in streaming/ needs the site around it."""
    for path in (ROOT / "streaming").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not line.startswith(
                ("import project", "from project", "import gallery", "from gallery")
            )
