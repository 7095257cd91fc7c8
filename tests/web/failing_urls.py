"""The site, with addresses whose views fail."""

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.urls import path

from project.urls import handler400, handler500
from project.urls import urlpatterns as of_the_site

__all__ = ["handler400", "handler500", "urlpatterns"]


def failing(error):
    def fail(request):
        raise error

    return fail


urlpatterns = [
    path("400/", failing(SuspiciousOperation("a secret"))),
    path("403/", failing(PermissionDenied("a secret"))),
    path("500/", failing(RuntimeError("a secret"))),
    *of_the_site,
]
