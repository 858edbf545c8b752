"""Where the value of a setting comes from: command line over environment over YAML file, each named for messages."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sluice.app.settings.yaml_tree import construct, read_text, yaml_problem
from sluice.domain.suggestion import did_you_mean

PREFIX = "SLUICE_"

OTHER_VARIABLES = frozenset(
    {
        "SLUICE_CONFIG",
        "SLUICE_DEFINITIONS",
        "SLUICE_SECRETS",
        "SLUICE_SECRETS_DIR",
        "SLUICE_SERVER",
        "SLUICE_TOKEN",
        "SLUICE_URL",
    }
)
"""Variables of the command line, which are no settings of the service."""
SECRET_PREFIX = "SLUICE_SECRET_"  # noqa: S105  # names secrets, and is none
"""Of the variables with the secrets that definitions name."""

ALIASES = {
    "OSS_ENDPOINT": "oss.endpoint",
    "OSS_BUCKET": "oss.bucket",
    "OSS_ACCESS_KEY_ID": "oss.access_key_id",
    "OSS_ACCESS_KEY_SECRET": "oss.access_key_secret",
}
"""The names of the commissioned configuration. The ``SLUICE_`` name wins when both are set."""

RENAMED = {"concurrency.bell_grace_s": "concurrency.trigger_grace_s"}
"""Old name: new name. For one release a setting is taken under its old name too, with a warning."""

# Kubernetes gives each container variables about every service of its namespace. For a service
# called "sluice" or "sluice-server" they begin as ours do, and they are no mistake.
_KUBERNETES = re.compile(r".*_SERVICE_(HOST|PORT(_\w+)?)|.*_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_KUBERNETES_URL = re.compile(r"(tcp|udp|sctp)://.*")


class Given(NamedTuple):
    """A value that was given for a setting."""

    value: object
    source: str
    """The variable, the option, or the file with line and key."""
    is_text: bool
    """Whether it is text that stands for a number or a list, as in an environment."""


def variable_of(setting: str) -> str:
    """Name the environment variable of the setting ``category.name``."""
    return PREFIX + setting.replace(".", "_").upper()


def from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    """Take settings from options of the command line, by ``category.name``; None is an option not used."""
    return {
        setting: Given(value, f"--{setting.partition('.')[2].replace('_', '-')}", is_text=False)
        for setting, value in flags.items()
        if value is not None
    }


def from_environment(env: Mapping[str, str], known: Collection[str], problems: list[str]) -> dict[str, Given]:
    """Take settings from variables. An empty variable counts as not set, as container tools leave them."""
    named = {name: alias for name, alias in ALIASES.items() if alias in known}
    named.update({variable_of(setting): setting for setting in known})
    old = {variable_of(name): name for name, new in RENAMED.items() if new in known}
    given = {setting: Given(env[name], name, is_text=True) for name, setting in (named | old).items() if env.get(name)}
    ours = (name for name in sorted(env) if name.startswith(PREFIX) and not _is_foreign(name, env[name]))
    problems += [f"{name}: is no setting{did_you_mean(name, named)}" for name in ours if name not in named | old]
    return given


def from_file(
    path: Path, known: Collection[str], *, secrets: Collection[str], problems: list[str], warnings: list[str]
) -> dict[str, Given]:
    """Take settings from a YAML file. A secret in it is a warning: files are copied, committed and backed up.

    It is a problem where others than the file's owner may read it.
    """
    categories = {setting.partition(".")[0] for setting in known}
    given: dict[str, Given] = {}
    for entry in read_settings_file(path, problems):
        setting = f"{entry.category}.{entry.name}"
        if entry.category not in categories:
            problems.append(f"{entry.source}: is no category of settings{did_you_mean(entry.category, categories)}")
        elif entry.name is None:
            problems.append(f"{entry.source}: holds no settings, but a value")
        elif setting not in known and RENAMED.get(setting) not in known:
            problems.append(f"{entry.source}: is no setting{did_you_mean(setting, known)}")
        elif setting in secrets and _is_read_by_others(path):
            problems.append(
                f"{entry.source}: is a secret, and others may read the file: chmod 600 {path.name}, "
                f"or give the secret by the variable {variable_of(setting)}"
            )
        else:
            if setting in secrets and entry.value:
                warnings.append(
                    f"{entry.source} is a secret in a file, which may be copied or committed; "
                    f"the variable {variable_of(setting)} is safer"
                )
            given[setting] = Given(entry.value, entry.source, is_text=False)
    return given


def _is_read_by_others(path: Path) -> bool:
    """Whether the file's mode lets its group or all others read or write it."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def with_new_names(given: Mapping[str, Given], warnings: list[str]) -> dict[str, Given]:
    """Move what was given under an old name to the new one. The new name wins where both were given, in any place."""
    renamed = {name: one for name, one in given.items() if name not in RENAMED}
    for old, new in RENAMED.items():
        one = given.get(old)
        if one is None:
            continue
        name = variable_of(new) if one.is_text else new
        if new in renamed:
            warnings.append(
                f"{one.source}: is the old name of {name} and is ignored, since {renamed[new].source} is given"
            )
        else:
            warnings.append(f"{one.source}: is the old name of {name} and will be refused by the next release")
            renamed[new] = one
    return renamed


def _is_foreign(name: str, value: str) -> bool:
    if name in OTHER_VARIABLES or name.startswith(SECRET_PREFIX) or _KUBERNETES.fullmatch(name):
        return True
    return name.endswith("_PORT") and _KUBERNETES_URL.fullmatch(value) is not None


if TYPE_CHECKING:
    import yaml


class FileEntry(NamedTuple):
    """One ``category: {name: value}`` of the file, or one that is not of that form."""

    category: str
    name: str | None
    """None when the category does not hold a mapping."""
    value: object
    source: str
    """File, line and key, for messages."""


def read_settings_file(path: Path, problems: list[str]) -> list[FileEntry]:
    """Read the entries in order; whatever is wrong with the file as a whole goes to ``problems``."""
    text = read_text(path, str(path), problems)
    if text is None:
        return []
    import yaml  # noqa: PLC0415  # only who has a file pays for the parser

    file_name, loader = path.name, None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None or construct(loader, root, deep=False) is None:
            return []
        if not isinstance(root, yaml.MappingNode):
            problems.append(f"{file_name}: is not a mapping of categories")
            return []
        return list(_entries(loader, root, file_name, problems))
    except (yaml.YAMLError, RecursionError) as error:
        problems.append(yaml_problem(error, file_name))
        return []
    finally:
        if loader is not None:
            loader.dispose()


def _entries(
    loader: yaml.SafeLoader, root: yaml.MappingNode, file_name: str, problems: list[str]
) -> Iterator[FileEntry]:
    import yaml  # noqa: PLC0415  # loaded by the caller already

    for category, category_node in _pairs(loader, root, file_name, problems):
        line = category_node.start_mark.line + 1
        if isinstance(category_node, yaml.MappingNode):
            for name, node in _pairs(loader, category_node, f"{file_name} in {category}", problems):
                source = f"{file_name}:{node.start_mark.line + 1} {category}.{name}"
                yield FileEntry(category, name, construct(loader, node), source)
        elif construct(loader, category_node, deep=False) is not None:  # an empty one has lines that are comments
            yield FileEntry(category, None, None, f"{file_name}:{line} {category}")


def _pairs(
    loader: yaml.SafeLoader, mapping: yaml.Node, where: str, problems: list[str]
) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the pairs of a mapping; a key that stands there twice is a problem, not a silent last word."""
    seen: set[str] = set()
    for key_node, node in mapping.value:
        key = str(construct(loader, key_node))
        if key in seen:
            problems.append(f"{where}: {key} is given twice, again on line {key_node.start_mark.line + 1}")
            continue
        seen.add(key)
        yield key, node
