"""Every word of the pages, the admin and the commands is there in the second language."""

import gettext
import shutil
import subprocess
import sys

import pytest
from django.utils import translation

from streaming.web.words import accepted_language, script_words
from tests.servers import ROOT, clean_environment

CATALOGS = [
    ("streaming", "django"),
    ("streaming", "djangojs"),
    ("gallery", "django"),
    ("templates", "django"),
]


def texts(path):
    """The translations in a compiled catalog, without its header."""
    with open(path, "rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog
    return {key: text for key, text in catalog.items() if key}


@pytest.fixture(scope="module")
def found(app, domain, tmp_path_factory):
    """The catalog as it is after everything in the sources was looked for."""
    tmp_path = tmp_path_factory.mktemp(domain)
    shutil.copytree(ROOT / app, tmp_path / app)
    command = ["makemessages", "-l", "de", "-d", domain, "--no-location", "--no-obsolete"]
    subprocess.run(
        [sys.executable, "-m", "django", *command],
        cwd=tmp_path / app,
        env=clean_environment(settings=None),
        check=True,
        capture_output=True,
        timeout=60,
    )
    return tmp_path / app / "locale" / "de" / "LC_MESSAGES" / f"{domain}.po"


@pytest.mark.gettext
@pytest.mark.parametrize(("app", "domain"), CATALOGS, scope="module")
class TestCatalogs:
    def test_nothing_is_missing(self, found, app, domain):
        """Neither untranslated nor fuzzy, and with the same placeholders."""
        result = subprocess.run(
            ["msgfmt", "--check", "--statistics", "-o", str(found.with_suffix(".mo")), str(found)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        assert "untranslated" not in result.stderr
        assert "fuzzy" not in result.stderr

    def test_what_is_compiled_is_what_is_written(self, found, app, domain):
        """Compiled catalogs are kept, since a machine without gettext has to run the site."""
        path = ROOT / app / "locale" / "de" / "LC_MESSAGES" / f"{domain}.mo"
        subprocess.run(["msgfmt", "-o", str(found.with_suffix(".mo")), str(found)], check=True)
        assert texts(path) == texts(found.with_suffix(".mo"))


@pytest.mark.django_db
class TestPages:
    def test_are_in_the_language_that_the_browser_asks_for(self, client):
        german = client.get("/simulations/tour/", headers={"accept-language": "de-AT,de;q=0.9"})
        html = german.content.decode()
        assert '<html lang="de">' in html
        assert "Problem des Handlungsreisenden" in html
        assert '"Stop": "Stopp"' in html, "the words of the script"
        english = client.get("/simulations/tour/", headers={"accept-language": "fr"})
        assert '<html lang="en">' in english.content.decode()

    def test_of_the_admin_too(self, admin_client):
        response = admin_client.get(
            "/admin/streaming/streamsession/", headers={"accept-language": "de"}
        )
        assert "Sitzungen" in response.content.decode()


class TestWebSockets:
    @pytest.mark.parametrize(
        ("header", "language"),
        [
            (b"de-CH, en;q=0.5", "de"),
            (b"fr, de;q=0.7", "de"),
            (b"fr", "en"),
            (b"", "en"),
            (b"\xff;q=x,,", "en"),
        ],
    )
    def test_have_the_language_that_the_browser_asks_for(self, header, language):
        assert accepted_language({"headers": [(b"accept-language", header)]}) == language

    def test_without_the_header_have_the_sites(self):
        assert accepted_language({"headers": []}) == "en"


def test_the_script_of_an_english_page_needs_no_words():
    with translation.override("en"):
        assert script_words() == {"language": "en", "catalog": {}}
