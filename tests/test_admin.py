import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from streaming.engine.session import Session
from streaming.identity import Identity
from streaming.models import StreamSession
from streaming.registry import registry
from streaming.sessions import sessions
from tests.test_records import row

pytestmark = pytest.mark.django_db
LIST = "/admin/streaming/streamsession/"


@pytest.fixture
def staff(client, django_user_model):
    """Log a member of the staff in, with some permissions."""

    def staff(*codenames):
        user = django_user_model.objects.create_user("eve", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return staff


@pytest.fixture
def going():
    """A session that goes on, without a loop or a thread."""
    changes = []

    class Going:
        session = Session(
            "going-1", registry.get("counter"), {}, fps=30, on_change=changes.append, on_notice=None
        )
        ended_at, owner = None, Identity()
        pause = session.pause

        @staticmethod
        def stack():
            return "  in a_step"

        @classmethod
        def request_stop(cls, by):
            cls.session.request_stop(by)

    Going.session.begin()
    sessions._sessions["going-1"] = Going
    StreamSession.objects.create(id="going-1", **row(step=12, viewers=3))
    yield Going.session
    del sessions._sessions["going-1"]


def act(client, action, *ids):
    return client.post(
        LIST, {"action": action, "_selected_action": ids}, follow=True
    ).content.decode()


class TestList:
    def test_shows_the_active_ones(self, staff, going):
        StreamSession.objects.create(id="over-1", **row(state="stopped", title="Over"))
        html = staff("view_streamsession").get(LIST).content.decode()
        for column in (
            "State",
            "Simulation",
            "Owner",
            "Steps",
            "Frames",
            "Viewers",
            "Started",
            "Last heartbeat",
        ):
            assert column in html
        assert "/sessions/going-1/" in html
        assert "/sessions/over-1/" not in html

    def test_filters_show_the_rest(self, staff, going):
        StreamSession.objects.create(id="over-1", **row(state="stopped"))
        client = staff("view_streamsession")
        ended = client.get(LIST + "?activity=ended").content.decode()
        assert "/sessions/over-1/" in ended
        assert "/sessions/going-1/" not in ended
        both = client.get(LIST + "?activity=all").content.decode()
        assert "/sessions/over-1/" in both
        assert "/sessions/going-1/" in both
        assert (
            "/sessions/over-1/"
            in client.get(LIST + "?activity=all&state__exact=stopped").content.decode()
        )

    def test_marks_what_a_dead_process_left(self, staff):
        old = timezone.now() - timezone.timedelta(seconds=60)
        StreamSession.objects.create(id="dead-1", **row(heartbeat=old))
        staff("view_streamsession").get(LIST)
        assert StreamSession.objects.get().state == "lost"

    def test_a_session_shows_its_traceback_and_cannot_be_edited(self, staff, going):
        StreamSession.objects.update(traceback="in a_line_of_the_author")
        client = staff("view_streamsession", "change_streamsession", "delete_streamsession")
        html = client.get(LIST + "going-1/change/").content.decode()
        assert "in a_line_of_the_author" in html
        assert 'name="_save"' not in html
        assert client.get(LIST + "add/").status_code == 403

    def test_nobody_else_sees_it(self, client, django_user_model):
        client.force_login(django_user_model.objects.create_user("ada"))
        assert client.get(LIST).status_code == 302


class TestActions:
    def test_stop(self, staff, going):
        html = act(staff("view_streamsession", "control_streamsession"), "stop", "going-1")
        assert "1 session was asked to stop." in html
        assert going.snapshot().stop.by == "admin"

    def test_pause_and_resume(self, staff, going):
        client = staff("view_streamsession", "control_streamsession")
        assert "1 session was asked to pause." in act(client, "pause", "going-1")
        assert going.pause_requested
        assert "1 session was resumed." in act(client, "resume", "going-1")
        assert not going.pause_requested

    def test_staff_without_the_permission_see_but_cannot_stop(self, staff, going):
        client = staff("view_streamsession")
        html = client.get(LIST).content.decode()
        assert "/sessions/going-1/" in html
        assert 'value="stop"' not in html
        act(client, "stop", "going-1")
        assert not going.stop_requested

    def test_what_cannot_be_done_gets_a_sentence(self, staff, going):
        StreamSession.objects.create(id="elsewhere-1", **row(process="other:1"))
        client = staff("view_streamsession", "control_streamsession")
        html = act(client, "stop", "elsewhere-1", "going-1")
        assert "there is no session" in html
        assert "1 session was asked to stop." in html
        assert "can no longer be paused" in act(client, "pause", "going-1")


class TestStack:
    def test_is_shown_to_staff(self, staff, going):
        html = staff("view_streamsession").get(f"{LIST}going-1/stack/").content.decode()
        assert "in a_step" in html
        assert "Ising (going-1)" in html

    def test_is_not_shown_to_others(self, staff, going, client):
        assert client.get(f"{LIST}going-1/stack/").status_code == 302
        assert staff().get(f"{LIST}going-1/stack/").status_code == 403

    def test_of_a_session_of_another_process_says_so(self, staff):
        StreamSession.objects.create(id="far-1", **row(traceback="the last trace"))
        html = staff("view_streamsession").get(f"{LIST}far-1/stack/").content.decode()
        assert "the last trace" in html
        assert "it never was, or it ended too long ago" in html

    def test_of_none_is_not_found(self, staff):
        assert staff("view_streamsession").get(f"{LIST}nope/stack/").status_code == 404


class TestLateLoop:
    def test_is_said_above_the_list(self, staff, monkeypatch):
        monkeypatch.setattr(sessions.lateness, "warning", lambda: "The event loop was 180 ms late.")
        assert "180 ms late" in staff("view_streamsession").get(LIST).content.decode()
