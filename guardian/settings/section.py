"""What every table of the settings has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from guardian.settings.secret_files import read_secret


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values never change after loading.

    A secret that is given as `NAME_file` can be read as `NAME`.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, validate_default=True, hide_input_in_errors=True
    )

    @model_validator(mode="after")
    def _secrets_of_files(self) -> Section:
        for name in type(self).model_fields:
            stem, path = name.removesuffix("_file"), getattr(self, name)
            if stem == name or stem not in type(self).model_fields or path is None:
                continue
            if getattr(self, stem) is not None:
                raise ValueError(f"both {stem} and {name} are set: keep one of them")
            self.__dict__[stem] = read_secret(path)
        return self
