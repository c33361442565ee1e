"""Pages in French have no English word of Guardian's own: what one mail is, what a step does, what a file holds."""

import re

from guardian.application.reporting import send_report_now
from guardian.application.root import StepHealth
from guardian.application.scheduler import STEPS
from guardian.web.pages.system import step_title
from tests.support.api_client import NOW, opened
from tests.support.pages import text_of
from tests.support.plain import plain


async def french(app, path, **query):
    return plain(await text_of(app, path, lang="fr", **query))


async def test_one_mail_that_was_sent_is_one_and_several_are_several(tmp_path):
    async with opened(tmp_path / "d") as app:
        await send_report_now(app, hours=24)
        page = await french(app, "/mail")
        assert '<span class="pill ok">Envoyé</span>' in page
        assert re.search(r"Envoyés <span class=\"count\">1<", page)
        assert '<span class="pill ok">Envoyé</span>' in await french(app, "/mail/1")
        assert '<span class="pill ok">Sent</span>' in await text_of(app, "/mail")


async def test_system_says_what_each_step_does_beside_the_name_that_the_log_has(tmp_path):
    async with opened(tmp_path / "d") as app:
        app.health["seal"] = StepHealth(NOW, None, NOW)
        assert '<dt>Faire les totaux <span class="mono">seal</span></dt>' in await french(app, "/system")
        assert '<dt>Sum up <span class="mono">seal</span></dt>' in await text_of(app, "/system")


def test_every_step_says_what_it_does():
    assert [step.name for step in STEPS if step_title(step.name) == step.name] == []


async def test_files_are_called_as_the_page_calls_what_they_hold_and_keep_their_name_for_programs(tmp_path):
    async with opened(tmp_path / "d") as app:
        page = await french(app, "/")
        assert "Au fil du temps <a" in page and "Erreurs par statut <a" in page
        assert "table=timeline&amp;as=csv" in page
