import os

from django.apps import AppConfig
from django.core.signals import setting_changed

from streaming.engine.isolation.forkserver import is_forked


class StreamingConfig(AppConfig):
    name = "streaming"
    verbose_name = "Livestep"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        if is_forked():
            return  # What serves is not needed there, and takes 2 MB.
        # Importing checks registers them.
        from streaming import checks, conf, metrics, page_checks  # noqa: F401
        from streaming.runtime import runtime
        from streaming.web.metrics import Present

        # Before any simulation is loaded: a window that matplotlib opens from a thread ends the
        # whole process.
        os.environ.setdefault("MPLBACKEND", "agg")
        setting_changed.connect(conf.forget, dispatch_uid="streaming.conf")
        if runtime.is_built:
            return  # A test of a project has exchanged INSTALLED_APPS: all are ready once more.
        runtime.build()
        metrics.registry.register(Present())
