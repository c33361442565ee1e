from guardian.web.metrics import Metric, as_text
from tests.support.api_client import calling, opened


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
