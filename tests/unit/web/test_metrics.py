import pytest

from guardian.web.metrics import Metric, as_text
from tests.support.api_client import KEY, bearer, calling, opened


def test_metrics_are_written_as_prometheus_reads_them():
    found = as_text([
        Metric("a_seconds", "Age.", {"": 1.5}), Metric("b", "By step.", {'x"\n': 3, "y": None}, "step"),
    ])  # fmt: skip
    assert found == (
        '# HELP a_seconds Age.\n# TYPE a_seconds gauge\na_seconds 1.5\n'
        '# HELP b By step.\n# TYPE b gauge\nb{step="x\\"\\n"} 3\n'
    )  # fmt: skip


async def test_the_metrics_have_the_numbers_of_the_health_and_name_nobody(tmp_path):
    async with opened(tmp_path / "d") as app, calling(app) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "guardian_newest_event_age_seconds 4200\n" in answer.text
    assert 'guardian_open_incidents{severity="critical"} 0\n' in answer.text
    assert "@" not in answer.text and "chat" not in answer.text


@pytest.mark.parametrize(("who", "alone", "admin"), [("public", 200, 200), ("admin", 401, 200), ("off", 404, 404)])
async def test_the_metrics_are_read_by_whom_the_settings_let(tmp_path, who, alone, admin):
    api = {"jwt_key": KEY, "metrics": who}
    async with opened(tmp_path / "d", api=api) as app, calling(app) as client:
        assert (await client.get("/metrics")).status_code == alone
        assert (await client.get("/metrics", headers=bearer())).status_code == admin
