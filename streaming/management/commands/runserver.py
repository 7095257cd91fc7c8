"""`manage.py runserver`: daphne's, with our server. List `streaming` before `daphne` for it."""

from daphne.management.commands.runserver import Command as DaphneRunserver

from streaming.server.daphne import server_class


class Command(DaphneRunserver):
    server_cls = server_class()
