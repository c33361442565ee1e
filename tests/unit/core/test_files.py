"""A file that is replaced is there whole: the old one, or the new one."""

import os

import pytest

from guardian.core.files import AT_ONCE, replacing


def test_the_new_text_takes_the_place_of_the_old_for_its_owner_only(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o644)
    with replacing(path) as file:
        file.write("née \ud800")
        assert path.read_text() == "old"
    assert path.read_bytes() == "née \\ud800".encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.parametrize("there", [True, False], ids=["over a file", "where there is none"])
@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, failing, there):
    def full(*args):
        raise OSError(28, "No space left on device")

    path = tmp_path / "report.json"
    if there:
        path.write_text("old")
    if failing != "write":
        monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"), replacing(path) as file:
        file.write("new")
        if failing == "write":
            full()
    assert os.listdir(tmp_path) == (["report.json"] if there else [])
    assert not there or path.read_text() == "old"


def test_a_long_text_goes_out_in_large_pieces(tmp_path):
    with replacing(tmp_path / "report.json") as file:
        for _ in range(AT_ONCE // 100):
            file.write("x" * 99)
        [unfinished] = tmp_path.iterdir()
        assert unfinished.stat().st_size == 0
    assert (tmp_path / "report.json").stat().st_size == AT_ONCE // 100 * 99
