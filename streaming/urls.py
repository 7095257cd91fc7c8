"""The pages. A project includes these at its root, where the page's script expects them."""

from django.urls import path

from streaming.web import comparing, health, mistakes, views
from streaming.web import metrics as exposition

app_name = "streaming"
urlpatterns = [
    path("", views.gallery, name="gallery"),
    path("ws", mistakes.no_upgrade, name="socket"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", exposition.metrics, name="metrics"),
    path("picture.svg", views.picture, name="picture"),
    path("element/", views.element, name="element"),
    path("compare/", comparing.compare, name="compare"),
    path("simulations/<slug:name>/", views.simulation, name="simulation"),
    path("sessions/<slug:session_id>/", views.session, name="session"),
    path("sessions/<slug:session_id>/frame.svg", views.frame, name="frame"),
    path("sessions/<slug:session_id>/state.json", views.state, name="state"),
    path("sessions/<slug:session_id>/stop", views.stop, name="stop"),
]
