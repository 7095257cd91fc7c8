"""The pages. A project includes these at its root, where the page's script expects them."""

from django.urls import path

from streaming.web import browsers, comparing, downloads, health, mistakes, sharing, views
from streaming.web import metrics as exposition

app_name = "streaming"
urlpatterns = [
    path("", views.gallery, name="gallery"),
    path("ws", mistakes.no_upgrade, name="socket"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", exposition.metrics, name="metrics"),
    path("picture.svg", views.picture, name="picture"),
    path("browser.js", browsers.remember, name="browser"),
    path("element/", views.element, name="element"),
    path("compare/", comparing.compare, name="compare"),
    path("simulations/<slug:name>/", views.simulation, name="simulation"),
    path("simulations/<slug:name>/thumbnail<str:kind>", views.thumbnail, name="thumbnail"),
    path("simulations/<slug:name>/qr.svg", sharing.simulation_code, name="simulation_code"),
    path("simulations/<slug:name>/embedded/", sharing.embedded, name="embedded"),
    path("sessions/<slug:session_id>/", views.session, name="session"),
    path("sessions/<slug:session_id>/frame.svg", views.frame, name="frame"),
    path("sessions/<slug:session_id>/state.json", views.state, name="state"),
    path("sessions/<slug:session_id>/series.csv", downloads.table, name="table"),
    path("sessions/<slug:session_id>/qr.svg", sharing.session_code, name="session_code"),
    path("sessions/<slug:session_id>/files/<str:name>", downloads.saved_file, name="file"),
    path("sessions/<slug:session_id>/stop", views.stop, name="stop"),
]
