"""Settings files for the tests that load them."""

import pytest


@pytest.fixture
def empty_folder(monkeypatch, tmp_path, no_variables):
    """An empty folder as the current one, and no settings in the environment."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def load(tmp_path, empty_folder):
    """Loads a file of this text."""

    from guardian.settings.loading import load_settings  # here: `make test-matrix` has only the tracker

    def loaded(text, mode=0o600):
        path = tmp_path / "guardian.toml"
        path.write_text(text)
        path.chmod(mode)
        return load_settings(path)

    return loaded


@pytest.fixture
def problems(load, tmp_path):
    """What is wrong with a file of this text; the file's own path is taken out."""

    from guardian.settings.loading import SettingsError

    def said(text, mode=0o600):
        with pytest.raises(SettingsError) as caught:
            load(text, mode)
        return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return said
