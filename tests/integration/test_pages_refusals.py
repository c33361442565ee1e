"""Whatever a page refuses it says in the reader's language: by a browser, a token or a proxy, on every form."""

from html import unescape

import pytest

from guardian.web.doors.forms import form_token
from tests.support.api_client import bearer, calling, open_incident, opened
from tests.support.plain import plain

ADMIN = "admin@example.com"
HERE = "http://guardian"
FRENCH = {"Accept": "text/html", "Accept-Language": "fr", "Origin": HERE}
ME = bearer(email=ADMIN)


async def said(client, method, path, status, **more):
    answer = await client.request(method, path, **more)
    text = plain(unescape(answer.text))
    assert answer.status_code == status, text
    assert 'lang="fr"' in answer.text
    return text


def french(folder, **keys):
    return opened(folder / "d", mail={"directory": folder / "mail", "language": "fr"}, **keys)


async def test_a_token_that_is_refused_is_refused_in_the_language_of_the_browser(tmp_path):
    async with french(tmp_path) as app, calling(app, FRENCH) as client:
        wrong = {"Authorization": "Bearer wrong"}
        assert "Un jeton valable est nécessaire ici" in await said(client, "GET", "/", 401, headers=wrong)
        other = bearer(email=ADMIN, role="guest")
        text = await said(client, "GET", "/people", 403, headers=other)
        assert "Le champ role du jeton n'est pas admin" in text
        for _ in range(25):
            await client.get("/", headers=wrong)
        text = await said(client, "GET", "/", 429, headers=wrong)
        assert "Trop de jetons ou de liens erronés sont venus de cette adresse : attendez" in text


async def test_what_is_no_form_or_too_much_of_one_is_refused_in_the_language_of_the_reader(tmp_path):
    async with french(tmp_path) as app, calling(app, {**FRENCH, **ME, "Accept-Language": "en"}) as client:
        text = await said(client, "POST", "/mail", 415, json={})
        assert "Ce n'est pas un formulaire" in text
        text = await said(client, "POST", "/mail", 413, data={"do": "x" * 70_000})
        assert "C'est plus que ne peut contenir un formulaire de Guardian" in text
        text = await said(client, "POST", "/mail", 422, data={f"n{i}": "1" for i in range(101)})
        assert "C'est plus que ne peut contenir un formulaire de Guardian" in text
        text = await said(client, "POST", "/mail", 403, data={}, headers={"Origin": "https://evil.example"})
        assert "Ce formulaire ne vient pas d'une page de Guardian" in text


async def test_a_button_that_can_do_nothing_says_so_in_the_language_of_the_reader(tmp_path):
    async with french(tmp_path) as app, calling(app, {**FRENCH, **ME}) as client:
        await open_incident(app, "chat")

        async def press(status, **form):
            return await said(client, "POST", "/incidents/chat", status, data=form)

        assert "Ce bouton n'est pas connu" in await press(409, action="explode", id="chat")
        assert "Cet incident n'existe pas" in await press(409, action="fixed", id="nowhere")
        await client.post("/incidents/chat", data={"action": "resolve", "id": "chat"})
        assert "il n'y a rien à faire" in await press(409, action="fixed", id="chat")


async def test_a_report_for_nobody_is_refused_in_the_language_of_the_reader(tmp_path):
    async with french(tmp_path, admins=()) as app, calling(app, {**FRENCH, **ME}) as client:
        text = await said(client, "POST", "/mail", 409, data={"do": "send", "hours": "24"})
        assert "Personne ne le recevrait" in text


async def test_a_threshold_that_a_rule_cannot_have_is_refused_in_the_language_of_the_reader(tmp_path):
    rules = {"error_rate": {"threshold": 0.1}}
    async with french(tmp_path, rules=rules) as app, calling(app, {**FRENCH, **ME}) as client:
        text = await said(client, "GET", "/rules?rule=error_rate&threshold=7", 200)
        assert "Une règle de ce genre ne peut pas avoir ce seuil" in text
        assert "Input should" not in text and "error_rate.threshold" not in text


async def test_a_code_that_is_typed_too_often_is_refused_in_the_language_of_the_browser(tmp_path):
    async with french(tmp_path) as app, calling(app, {**FRENCH, "Host": "127.0.0.1:8765"}) as client:
        client.headers["Origin"] = "http://127.0.0.1:8765"
        page = await client.get("/sign-in")
        client.headers["Cookie"] = page.headers["set-cookie"].partition(";")[0]
        held = client.headers["Cookie"].partition("=")[2].partition(".")[0]
        form = {"csrf": form_token(await app.stores.alerts.link_key(), f"asked:{held}"), "code": "AAAA-AAAA"}
        for _ in range(22):
            answer = await client.post("/sign-in/code", data=form)
        text = await said(client, "POST", "/sign-in/code", 429, data=form)
        assert answer.status_code == 429 and "Trop de jetons ou de liens erronés" in text


@pytest.mark.parametrize("path", ["/sign-out", "/nowhere", "/people/nobody"])
async def test_an_address_that_only_forms_lead_to_is_a_page_as_well(tmp_path, path):
    async with french(tmp_path) as app, calling(app, FRENCH) as client:
        text = await said(client, "GET", path, 405 if path == "/sign-out" else 404)
        assert "Cette page n'existe pas" in text
        program = await client.get(path, headers={"Accept": "application/json"})
        assert program.headers["content-type"] == "application/json"
