"""The core is plain Python, and imports point one way: from the upper floors to the lower ones."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import clean_environment

ROOT = Path(__file__).parent.parent
CORE = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("engine", "delivery")
    for path in (ROOT / "streaming" / folder).rglob("*.py")
)
FOREIGN = ("django", "channels", "asyncio", "twisted")
# The floors of the house, from the ground up (docs/architecture.md), each with the modules of the
# root that stand on it: those where Django, or everybody, looks.
FLOORS = (
    {"engine"},
    {"delivery"},
    # What the settings and the database's tables say, and names that everybody needs.
    {"conf", "origins", "layer", "process", "identity", "metrics", "models", "logs", "migrations"},
    {"catalog", "testing"},
    {"sessions"},
    {"cluster"},
    {"web", "runtime", "routing", "urls"},
    {"admin"},
    {"server"},
    {"management", "templatetags", "checks", "page_checks", "apps"},
)


def modules():
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "streaming").rglob("*.py")
    }


def imports_of(name, path, known):
    """The modules of ours that a module names, wherever in the file that stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for imported in names:
            # What is imported from a module is that module's; a package is its head.
            parent = imported.rpartition(".")[0]
            target = imported if imported in known else parent
            if target in known and target not in ("streaming", name):
                found.add(target)
    return found


@pytest.fixture(scope="module")
def graph():
    known = modules()
    return {name: imports_of(name, path, known) for name, path in known.items()}


def floor_of(name):
    part = name.split(".")[1]
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


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


def test_every_module_has_a_floor(graph):
    for name in graph:
        if name != "streaming":  # Its head is what an author of a simulation imports.
            floor_of(name)


def test_no_import_points_up(graph):
    upwards = [
        f"{name} imports {imported}"
        for name, imports in graph.items()
        for imported in imports
        if name != "streaming" and floor_of(imported) > floor_of(name)
    ]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle(graph):
    done, circles = set(), []

    def visit(name, path):
        if name in path:
            circles.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for imported in sorted(graph[name]):
                visit(imported, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    assert circles == []


def test_a_circle_and_an_import_that_points_up_are_found():
    """Or the two tests above might look at nothing."""
    assert floor_of("streaming.web.views") > floor_of("streaming.engine.session")
    known = modules()
    path = known["streaming.web.consumer"]
    assert "streaming.runtime" in imports_of("streaming.web.consumer", path, known)
    assert "streaming.web.rights" in imports_of(
        "streaming.runtime", known["streaming.runtime"], known
    )


def test_importing_every_module_starts_nothing_and_registers_nothing():
    """Before the apps are there nothing is built, so that only the composition root can."""
    names = sorted(name for name in modules() if not name.startswith("streaming.migrations"))
    program = (
        "import importlib, threading, django.conf, django.apps, django.core.signals as signals\n"
        "import django.db.models.signals as models\n"
        "from django.contrib.auth.signals import user_logged_out\n"
        "ready, django.apps.AppConfig.ready = django.apps.AppConfig.ready, None\n"
        "import streaming.apps\n"
        "streaming.apps.StreamingConfig.ready = lambda self: None\n"
        "django.apps.AppConfig.ready = ready\n"
        "import django; django.setup()\n"
        "watched = (signals.setting_changed, user_logged_out, models.post_save)\n"
        "before = [list(signal.receivers) for signal in watched]\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "assert [list(signal.receivers) for signal in watched] == before\n"
        "from streaming.runtime import runtime\n"
        "assert vars(runtime) == {}, vars(runtime)\n"
        "print([thread.name for thread in threading.enumerate()], end='')"
    )
    assert said_by(program, settings="tests.settings") == ("['MainThread']", "")


def test_a_compute_machine_and_a_command_have_no_twisted():
    """It takes a sixth of a process that serves nothing."""
    program = (
        "import sys, django; django.setup()\n"
        "import streaming.server.compute, streaming.management.commands.compute\n"
        "print('twisted' in sys.modules, end='')"
    )
    assert said_by(program, settings="project.settings") == ("False", "")


def said_by(program, *, settings):
    """Run a program of its own; returns what it wrote, and what it complained of."""
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=clean_environment(settings),
        capture_output=True,
        text=True,
    )
    return result.stdout, result.stderr


def test_app_imports_neither_project_nor_gallery():
    """Nothing in streaming/ needs the site around it."""
    for path in (ROOT / "streaming").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not line.startswith(
                ("import project", "from project", "import gallery", "from gallery")
            )


def test_the_edge_and_the_admin_ask_no_session_what_it_is():
    for folder in ("web", "admin"):
        for path in (ROOT / "streaming" / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                    assert "Session" not in ast.unparse(node.args[1]), f"{path}: {node.lineno}"
