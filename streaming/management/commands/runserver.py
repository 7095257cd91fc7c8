"""`manage.py runserver`: daphne's, with our server. List `streaming` before `daphne` for it."""

import os
from typing import Any

from daphne.management.commands.runserver import Command as DaphneRunserver
from django.core.management.base import CommandError

from streaming.management.listening import listen
from streaming.server.daphne import server_class


class Command(DaphneRunserver):
    server_cls = server_class()

    def inner_run(self, *args: Any, **options: Any) -> None:
        try:
            listen(self.addr, int(self.port)).close()
        except CommandError as error:
            self.stderr.write(self.style.ERROR(str(error)))
            # As Django's own: this is a thread of the reloader, which would wait for a change.
            os._exit(1)
        super().inner_run(*args, **options)
