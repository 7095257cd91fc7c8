import asyncio
from datetime import timedelta

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission
from django.utils import timezone

from streaming.catalog.registry import registry
from streaming.identity import Identity, owner_hash
from streaming.models import StreamSession
from streaming.sessions.records import Records
from tests.parts import close_sessions, sessions
from tests.sessions.rows import row

pytestmark = pytest.mark.django_db
LIST = "/admin/streaming/streamsession/"
REFRESH = {"X-Livestep-Refresh": "1"}
MAY_CONTROL = ("view_streamsession", "control_streamsession")


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
def make_live(monkeypatch):
    """Make sessions whose first step never comes: their loop only stands still."""
    monkeypatch.setattr(Records, "save", lambda self, *args: None)
    with asyncio.Runner() as runner:

        def make_live(identity=None, *, begin=True, **fields):
            async def create():
                return sessions.create(
                    registry.get("counter"), {"level": 1, "size": 4}, identity or Identity()
                )

            live = runner.run(create())
            if begin:
                live.session.begin()
            key = owner_hash((identity or Identity()).owner_key)
            StreamSession.objects.create(id=live.id, **row(**fields, owner_key=key))
            return live

        yield make_live
        runner.run(close_sessions())


@pytest.fixture
def going(make_live):
    return make_live(step=12, viewers=3)


def get(client, address=LIST, **options):
    response = client.get(address, **options)
    assert response.status_code == 200
    return response.content.decode()


def act(client, action, *ids):
    return client.post(
        LIST, {"action": action, "_selected_action": ids}, follow=True
    ).content.decode()


def page_of(session_id):
    return f"{LIST}{quote(session_id)}/change/"


def is_listed(session_id, html):
    return page_of(session_id) in html


def press(client, session_id, command):
    address = f"{LIST}{session_id}/control/"
    return client.post(address, {"command": command}, follow=True).content.decode()


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_pages_are_there_with_and_without_time_zones(settings, staff, make_live, use_tz):
    settings.USE_TZ = use_tz
    going = make_live()
    ended = StreamSession.objects.create(id="over-1", **row(state="failed", ended=timezone.now()))
    client = staff("view_streamsession")
    both = get(client, f"{LIST}?activity=all")
    assert is_listed(going.id, both)
    assert is_listed(ended.id, both)
    for address in (page_of(going.id), page_of(ended.id), f"{LIST}dashboard/"):
        get(client, address)


class TestList:
    def test_shows_the_active_ones(self, staff, going):
        StreamSession.objects.create(id="over-1", **row(state="stopped", title="Over"))
        html = get(staff("view_streamsession"))
        for column in (
            "State", "Simulation", "Owner", "Engine", "Process", "Steps", "Steps/s", "Frames",
            "Viewers", "Started", "Elapsed", "Last written", "Warning",
        ):  # fmt: skip
            assert f">{column}<" in html
        assert f"/sessions/{going.id}/" in html
        assert not is_listed("over-1", html)

    def test_filters_show_the_rest(self, staff, going):
        StreamSession.objects.create(id="over-1", **row(state="stopped"))
        client = staff("view_streamsession")
        ended = get(client, LIST + "?activity=ended")
        assert is_listed("over-1", ended)
        assert not is_listed(going.id, ended)
        both = get(client, LIST + "?activity=all")
        assert is_listed("over-1", both)
        assert is_listed(going.id, both)
        assert is_listed("over-1", get(client, LIST + "?activity=all&state__exact=stopped"))

    def test_shows_of_this_process_what_is_and_of_others_what_they_wrote(self, staff, going):
        """A row is five seconds old; a session of this process is asked itself."""
        going.session.board.taken = 1234
        going._rate.note(1.0, 0)
        going._rate.note(3.0, 1234)
        StreamSession.objects.create(
            id="far-1", **row(process="other:1", step=77_000, measured_rate=2.5)
        )
        html = get(staff("view_streamsession"))
        assert "1,234" in html
        assert ">617<" in html
        assert "77,000" in html
        assert "2.50" in html

    def test_active_ones_come_first(self, staff, going):
        now = timezone.now()
        StreamSession.objects.create(
            id="over-1", **row(state="failed", ended=now, started=now + timedelta(seconds=9))
        )
        html = get(staff("view_streamsession"), LIST + "?activity=all")
        assert html.index(page_of(going.id)) < html.index(page_of("over-1"))

    def test_only_what_is_still_there_can_be_watched(self, staff, going):
        StreamSession.objects.create(id="over-1", **row(state="failed", ended=timezone.now()))
        html = get(staff("view_streamsession"), LIST + "?activity=all")
        assert f'href="/sessions/{going.id}/"' in html
        assert 'href="/sessions/over-1/"' not in html

    def test_shows_one_that_has_just_ended_and_whose_row_does_not_say_so(self, staff, going):
        going.session.keep_frame(b"<svg/>", None, 1)
        going.session.finish()
        assert "Finished" in get(staff("view_streamsession"))

    def test_is_found_by_a_word(self, staff, going):
        StreamSession.objects.create(id="far-1", **row(process="other:1"))
        html = get(staff("view_streamsession"), LIST + "?q=other:1")
        assert is_listed("far-1", html)
        assert not is_listed(going.id, html)

    def test_a_refresh_leaves_the_messages_to_a_person(self, staff, going):
        """A message is shown once; the page's script must not be the one to get it."""
        client = staff(*MAY_CONTROL)
        client.post(LIST, {"action": "stop", "_selected_action": [going.id]})
        assert "asked to stop" not in get(client, headers=REFRESH)
        assert "1 session was asked to stop." in get(client)

    def test_nobody_else_sees_it(self, client, django_user_model):
        client.force_login(django_user_model.objects.create_user("ada"))
        assert client.get(LIST).status_code == 302


class TestHistory:
    ENDS = (
        ("finished", {"state": "finished"}),
        ("client", {"state": "stopped", "stopped_by": "client"}),
        ("admin", {"state": "stopped", "stopped_by": "admin"}),
        ("abandoned", {"state": "stopped", "stopped_by": "abandoned"}),
        ("time_limit", {"state": "stopped", "stopped_by": "time_limit"}),
        ("shutdown", {"state": "stopped", "stopped_by": "shutdown"}),
        ("failed", {"state": "failed"}),
        ("lost", {"state": "lost"}),
    )

    @pytest.fixture
    def history(self):
        """A session of each end, a day older than the one before."""
        ends = [timezone.now() - timedelta(days=days) for days in range(len(self.ENDS))]
        for (name, fields), ended in zip(self.ENDS, ends, strict=True):
            StreamSession.objects.create(id=f"by-{name}", **row(ended=ended, **fields))

    @pytest.mark.parametrize("end", [name for name, _ in ENDS])
    def test_is_filtered_by_how_a_session_ended(self, staff, history, end):
        html = get(staff("view_streamsession"), f"{LIST}?end={end}")
        listed = [name for name, _ in self.ENDS if is_listed(f"by-{name}", html)]
        assert listed == [end]

    def test_is_filtered_by_when_it_ended(self, staff, history):
        since = (timezone.now() - timedelta(days=2, hours=1)).isoformat()
        html = get(staff("view_streamsession"), LIST, data={"ended__gte": since})
        listed = [name for name, _ in self.ENDS if is_listed(f"by-{name}", html)]
        assert listed == ["finished", "client", "admin"]

    def test_the_way_back_to_the_active_ones_leaves_no_filter_of_the_history(self, staff, history):
        html = get(staff("view_streamsession"), f"{LIST}?end=failed&engine=thread")
        assert '<a href="?engine=thread">Active</a>' in html


class TestSession:
    def test_shows_its_traceback_and_cannot_be_edited(self, staff):
        StreamSession.objects.create(
            id="far-1", **row(traceback="in a_line_of_the_author", error="It failed.")
        )
        client = staff("view_streamsession", "change_streamsession", "delete_streamsession")
        html = get(client, page_of("far-1"))
        assert "in a_line_of_the_author" in html
        assert "It failed." in html
        assert 'name="_save"' not in html
        assert client.get(LIST + "add/").status_code == 403

    def test_shows_a_long_parameter_shortened_and_as_a_whole(self, staff):
        cities = "\n".join(f"<{city}> 1 2" for city in range(99))
        StreamSession.objects.create(id="far-1", **row(params={"cities": cities, "closed": True}))
        html = get(staff("view_streamsession"), page_of("far-1"))
        assert "<summary>&lt;0&gt; 1 2…</summary>" in html
        assert "&lt;98&gt; 1 2</pre>" in html
        assert "<dt>closed</dt><dd>yes</dd>" in html

    def test_shows_the_picture_and_the_stack_of_one_that_goes_on(self, staff, going):
        html = get(staff("view_streamsession"), page_of(going.id))
        # A picture that would hang the tab must not keep anybody from the buttons.
        assert (
            f'<template><live-step session="{going.id}" src="/ws"></live-step></template>' in html
        )
        assert f'data-stack="{LIST}{going.id}/stack/"' in html
        assert 'value="pause"' not in html

    def test_of_another_process_has_neither(self, staff):
        StreamSession.objects.create(id="far-1", **row())
        html = get(staff(*MAY_CONTROL), page_of("far-1"))
        assert "<live-step" not in html
        assert "data-stack=" not in html
        assert 'value="pause"' not in html

    def test_is_found_whatever_its_id(self, staff):
        """In the admin's addresses an underscore with two digits stands for another character."""
        StreamSession.objects.create(id="a_2Fb", **row(title="Odd"))
        client = staff("view_streamsession")
        assert "Odd (a_2Fb)" in get(client, page_of("a_2Fb"))
        stack = get(client, f"{LIST}a_2Fb/stack/")
        assert f'href="{page_of("a_2Fb")}"' in stack
        assert client.post(f"{LIST}a_2Fb/control/", {"command": "stop"}).status_code == 403

    def test_has_buttons_for_those_with_the_permission(self, staff, going):
        client = staff(*MAY_CONTROL)
        assert 'value="pause"' in get(client, page_of(going.id))
        assert "1 session was asked to pause." in press(client, going.id, "pause")
        assert going.session.pause_requested
        assert "1 session was resumed." in press(client, going.id, "resume")
        assert not going.session.pause_requested
        assert "1 session was asked to stop." in press(client, going.id, "stop")
        assert going.session.snapshot().stop.by == "admin"

    def test_a_button_is_refused_without_the_permission(self, staff, going):
        client = staff("view_streamsession")
        address = f"{LIST}{going.id}/control/"
        assert client.post(address, {"command": "stop"}).status_code == 403
        assert client.get(address).status_code == 405
        assert not going.session.stop_requested

    def test_a_command_that_is_none_gets_a_sentence(self, staff, going):
        html = press(staff(*MAY_CONTROL), going.id, "delete")
        assert "Expected stop, pause or resume, got &#x27;delete&#x27;." in html


class TestActions:
    def test_stop(self, staff, going):
        html = act(staff(*MAY_CONTROL), "stop", going.id)
        assert "1 session was asked to stop." in html
        assert going.session.snapshot().stop.by == "admin"

    def test_pause_and_resume(self, staff, going):
        client = staff(*MAY_CONTROL)
        assert "1 session was asked to pause." in act(client, "pause", going.id)
        assert going.session.pause_requested
        assert "1 session was resumed." in act(client, "resume", going.id)
        assert not going.session.pause_requested

    def test_staff_without_the_permission_see_but_cannot_stop(self, staff, going):
        client = staff("view_streamsession")
        html = get(client)
        assert is_listed(going.id, html)
        for action in ("stop", "pause", "resume", "stop_owner"):
            assert f'value="{action}"' not in html
            act(client, action, going.id)
        assert not going.session.stop_requested

    def test_what_cannot_be_done_gets_a_sentence(self, staff, going):
        StreamSession.objects.create(id="elsewhere-1", **row(process="other:1"))
        client = staff(*MAY_CONTROL)
        html = act(client, "stop", "elsewhere-1", going.id)
        assert "there is no session" in html
        assert "1 session was asked to stop." in html
        assert "can no longer be paused" in act(client, "pause", going.id)

    def test_what_has_ended_is_not_said_to_be_asked(self, staff, going):
        going.session.finish()
        html = act(staff(*MAY_CONTROL), "stop", going.id)
        assert "the session is finished and can no longer be stopped" in html
        assert "asked to stop" not in html


class TestStopAllOfOneOwner:
    def test_stops_every_session_of_a_user(self, staff, make_live, django_user_model):
        ada = django_user_model.objects.create_user("ada")
        own = [make_live(Identity(user_id=ada.pk), user_id=ada.pk) for _ in range(3)]
        other = make_live(Identity(user_id=ada.pk + 1))
        html = act(staff(*MAY_CONTROL), "stop_owner", own[0].id)
        assert "3 sessions were asked to stop." in html
        assert all(live.session.stop_requested for live in own)
        assert not other.session.stop_requested

    def test_of_those_without_a_login_stops_only_the_same_browser(self, staff, make_live):
        """All of them are called anonymous: their names say nothing."""
        first, second = (make_live(Identity(browser="b1"), owner="anonymous") for _ in range(2))
        other = make_live(Identity(browser="b2"), owner="anonymous")
        unknown = make_live(Identity(), owner="anonymous")
        html = act(staff(*MAY_CONTROL), "stop_owner", first.id)
        assert "2 sessions were asked to stop." in html
        assert first.session.stop_requested
        assert second.session.stop_requested
        assert not other.session.stop_requested
        assert not unknown.session.stop_requested

    def test_of_somebody_without_an_active_session_says_so(self, staff, django_user_model):
        ada = django_user_model.objects.create_user("ada")
        StreamSession.objects.create(id="over-1", **row(state="finished", user_id=ada.pk))
        client = staff(*MAY_CONTROL)
        data = {"action": "stop_owner", "_selected_action": ["over-1"]}
        html = client.post(f"{LIST}?activity=all", data, follow=True).content.decode()
        assert "No session of these owners goes on." in html


class TestStack:
    def test_is_shown_to_staff(self, staff, going, monkeypatch):
        async def stack():
            return "  in a_step"

        monkeypatch.setattr(going, "stack", stack)
        html = get(staff("view_streamsession"), f"{LIST}{going.id}/stack/")
        assert "in a_step" in html
        assert f"Ising ({going.id})" in html

    def test_is_not_shown_to_others(self, staff, going, client):
        assert client.get(f"{LIST}{going.id}/stack/").status_code == 302
        assert staff().get(f"{LIST}{going.id}/stack/").status_code == 403

    def test_of_a_session_of_another_process_says_so(self, staff):
        StreamSession.objects.create(id="far-1", **row(traceback="the last trace"))
        html = get(staff("view_streamsession"), f"{LIST}far-1/stack/")
        assert "the last trace" in html
        assert "it never was, or it ended too long ago" in html

    def test_of_none_is_not_found(self, staff):
        assert staff("view_streamsession").get(f"{LIST}nope/stack/").status_code == 404


class TestLateLoop:
    def test_is_said_above_the_list(self, staff, monkeypatch):
        monkeypatch.setattr(sessions.lateness, "warning", lambda: "The event loop was 180 ms late.")
        assert "180 ms late" in get(staff("view_streamsession"))
