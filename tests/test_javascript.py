import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.node
def test_the_pages_pure_sums():
    """Runs the tests in tests/js with Node's own runner."""
    tests = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.test.js"))
    command = [shutil.which("node"), "--experimental-default-type=module", "--test", *tests]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
