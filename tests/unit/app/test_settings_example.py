"""`config.example.yaml` documents every setting, with the value that holds without it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

from sluice.app.settings.source import ALIASES
from sluice.app.settings.validation import Settings, setting_types, settings_from
from sluice.domain.secret import Secret

EXAMPLE = Path(__file__).resolve().parents[3] / "config.example.yaml"
SECRETS = {name for name, kind in setting_types().items() if kind is Secret}


def lines() -> list[str]:
    return EXAMPLE.read_text(encoding="utf-8").splitlines()


@cache
def values() -> dict[str, object]:
    tree = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return {f"{category}.{name}": value for category, names in tree.items() for name, value in names.items()}


def default_of(setting: str) -> object:
    category, _, name = setting.partition(".")
    return getattr(getattr(Settings(), category), name)


def test_it_names_every_setting_but_the_secrets_and_nothing_else() -> None:
    assert list(values()) == [name for name in setting_types() if name not in SECRETS]


@pytest.mark.parametrize("setting", [name for name in setting_types() if name not in SECRETS])
def test_it_gives_the_default(setting: str) -> None:
    value = values()[setting]
    default = default_of(setting)
    assert (tuple(value) if isinstance(value, list) else value) == default
    assert isinstance(value, bool) == isinstance(default, bool)


def test_it_loads_and_changes_nothing() -> None:
    assert settings_from({}, EXAMPLE) == Settings()


@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_it_names_the_variable_of_each_secret(secret: str) -> None:
    assert "SLUICE_" + secret.replace(".", "_").upper() in "\n".join(lines())


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_it_names_the_commissioned_variables(alias: str) -> None:
    assert alias in "\n".join(lines())


def test_each_setting_is_explained_right_above_it() -> None:
    unexplained = [
        line.strip()
        for above, line in zip(lines(), lines()[1:], strict=False)
        if line.startswith("  ") and not line.lstrip().startswith("#") and not above.lstrip().startswith("#")
    ]
    assert unexplained == ['tls_key_file: ""']  # explained together with the certificate
