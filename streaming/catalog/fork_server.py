"""The fork server of this process, as the settings say. It starts when it is first needed."""

import os

from streaming.catalog.preload import NO_SECRET, Argument
from streaming.catalog.registry import registry
from streaming.conf import conf
from streaming.engine.isolation.forkserver import scrubbed_environment
from streaming.engine.isolation.spawning import server_of_children
from streaming.engine.isolation.supervisor import Limits

# How the site is set up; none of these is a secret.
OUR_VARIABLES = ("SIMULATIONS", "VAR_DIR", "ALLOWED_HOSTS")
OUR_PREFIX = "LIVESTEP_"
# But for these, which a simulation has no business with.
SECRETS = ("LIVESTEP_METRICS_TOKEN", "LIVESTEP_BROKER_URL")


def _argument() -> Argument:
    working = [path for path in registry.added_files if path not in registry.broken]
    return {
        "files": [str(path.resolve()) for path in working],
        "broken": [str(path) for path in registry.broken],
    }


def _environment() -> dict[str, str]:
    ours = [name for name in os.environ if name.startswith(OUR_PREFIX) and name not in SECRETS]
    return {
        **scrubbed_environment((*OUR_VARIABLES, *ours, *conf().PROCESS_ENVIRONMENT)),
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "SECRET_KEY": NO_SECRET,
    }


def _lent() -> dict[str, str]:
    """Return what the settings may need beside that, and no simulation may see."""
    kept = _environment()
    return {
        name: value
        for name, value in os.environ.items()
        if name not in kept and name not in SECRETS
    }


def limits() -> Limits:
    """Return what a session's process may use."""
    return Limits(conf().MAX_PROCESS_BYTES, conf().MAX_PROCESS_CPU_SECONDS)


fork_server = server_of_children(
    "streaming.catalog.preload", _argument, _environment, _lent, lambda: conf().PROCESS_USER
)
