"""The site's addresses: its own gallery and the admin around those of the streaming app."""

from django.contrib import admin
from django.urls import include, path

handler400 = "streaming.web.mistakes.bad_request"
handler500 = "streaming.web.mistakes.server_error"
urlpatterns = [
    path("", include("streaming.urls")),
    path("admin/", admin.site.urls),
]
