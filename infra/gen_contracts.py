"""Put what callers build on into tests/vectors: the OpenAPI document and the gRPC contract. Refuses changes that break.

    python infra/gen_contracts.py             after a change that breaks no caller
    python infra/gen_contracts.py --breaking  after one that does, with a line in CHANGELOG.md under "Changed"

`tests/unit/test_contracts.py` fails while the files are not as the code is, and says which changes break.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.json_format import MessageToDict

from sluice.api.http.app import RouteSet, operations_of
from sluice.api.http.routes.openapi import make_document
from sluice.proto import export_pb2

ROOT = Path(__file__).resolve().parent.parent
OPENAPI = ROOT / "tests/vectors/openapi.json"
GRPC = ROOT / "tests/vectors/grpc-contract.json"
_LOWER, _UPPER = ("maximum", "maxLength", "maxItems"), ("minimum", "minLength", "minItems", "exclusiveMinimum")

Json = dict[str, Any]


def openapi() -> Json:
    """The OpenAPI document as the service answers it."""
    document: Json = json.loads(json.dumps(make_document(operations_of(RouteSet.ALL))))
    return document


def grpc_contract() -> Json:
    """The contract as the stubs have it, by number."""
    file = descriptor_pb2.FileDescriptorProto()
    export_pb2.DESCRIPTOR.CopyToProto(file)  # type: ignore[no-untyped-call]  # of the library
    return MessageToDict(file, preserving_proto_field_name=True)


def breaking_http(old: Json, new: Json) -> list[str]:
    """What a caller written against ``old`` trips over in ``new``. Words and examples may change."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            where = f"{method.upper()} {path}"
            other = new["paths"].get(path, {}).get(method)
            found += [f"{where}: removed"] if other is None else _operation(old, new, operation, other, where)
    return list(dict.fromkeys(found))


def _operation(old: Json, new: Json, before: Json, after: Json, where: str) -> Iterator[str]:
    if before["operationId"] != after["operationId"]:
        yield f"{where}: operationId is {after['operationId']}, was {before['operationId']}"
    if before["security"] != after["security"]:
        yield f"{where}: changed security"
    sent = _Comparison(old, new, is_sent=True)
    yield from _parameters(sent, before, after, where)
    body, other_body = before.get("requestBody", {}), after.get("requestBody", {})
    if other_body.get("required") and not body.get("required"):
        yield f"{where}: body: newly required"
    yield from sent.contents(body, other_body, f"{where}: body")
    answered = _Comparison(old, new, is_sent=False)
    for status, answer in before["responses"].items():
        place = f"{where}: answer {status}"
        other = after["responses"].get(status)
        if other is not None:
            lost = sorted(answer.get("headers", {}).keys() - other.get("headers", {}))
            yield from (f"{place}: header {name}: removed" for name in lost)
            yield from answered.contents(answer, other, place)
        elif status < "400":  # that an error can no longer happen breaks no caller
            yield f"{place}: removed"


def _parameters(sent: _Comparison, before: Json, after: Json, where: str) -> Iterator[str]:
    known, parameters = (
        {(one["in"], one["name"]): one for one in side.get("parameters", ())} for side in (before, after)
    )
    for key, parameter in known.items():
        place = f"{where}: parameter {key[1]}"
        if key not in parameters:
            yield f"{place}: removed"
        else:
            yield from sent.schemas(parameter["schema"], parameters[key]["schema"], place)
    for key, parameter in parameters.items():
        if parameter["required"] and not known.get(key, {}).get("required"):
            yield f"{where}: parameter {key[1]}: newly required"


class _Comparison:
    """Compares schemas of two documents: what callers send must go on being taken, what they read be as it was."""

    def __init__(self, old: Json, new: Json, *, is_sent: bool) -> None:
        self._old, self._new, self._is_sent = old, new, is_sent
        self._seen: set[tuple[str, str]] = set()

    def contents(self, before: Json, after: Json, where: str) -> Iterator[str]:
        """By content type."""
        for kind, content in before.get("content", {}).items():
            other = after.get("content", {}).get(kind)
            if other is None:
                yield f"{where}: content type {kind}: removed"
            else:
                yield from self.schemas(content.get("schema", {}), other.get("schema", {}), where)

    def schemas(self, before: Json, after: Json, where: str) -> Iterator[str]:
        """By what each lets through."""
        names = (before.get("$ref", ""), after.get("$ref", ""))
        if names in self._seen:
            return
        if all(names):
            self._seen.add(names)
        where = names[0].rpartition("/")[2] or where
        before, after = self._resolved(self._old, before), self._resolved(self._new, after)
        yield from self._kinds(before, after, where)
        yield from self._bounds(before, after, where)
        members, others = before.get("properties", {}), after.get("properties", {})
        for name in members:
            if name in others:
                yield from self.schemas(members[name], others[name], f"{where}.{name}")
            else:
                yield f"{where}.{name}: removed"
        required, now = set(before.get("required", ())), set(after.get("required", ()))
        changed = now - required if self._is_sent else required - now
        word = "newly required" if self._is_sent else "no longer always there"
        yield from (f"{where}.{name}: {word}" for name in sorted(changed & {*members, *others}))
        for part in ("items", "additionalProperties"):
            if isinstance(before.get(part), dict) and isinstance(after.get(part), dict):
                yield from self.schemas(before[part], after[part], f"{where}[]")
        yield from self._choices(before.get("anyOf", []), after.get("anyOf", []), where)

    def _resolved(self, document: Json, schema: Json) -> Json:
        name = schema.get("$ref", "").rpartition("/")[2]
        resolved: Json = document["components"]["schemas"].get(name, {}) if name else schema
        return resolved

    def _kinds(self, before: Json, after: Json, where: str) -> Iterator[str]:
        """Types and enumerations. Callers expect further values where they read: new codes of errors, new states."""
        kinds, others = (
            {one["type"]} if isinstance(one.get("type"), str) else set(one.get("type", ())) for one in (before, after)
        )
        lost = kinds - others if self._is_sent else others - kinds
        if lost or ("anyOf" in before) != ("anyOf" in after):
            yield f"{where}: type is {_shown(after)}, was {_shown(before)}"
        if self._is_sent and "enum" in after:
            gone = [value for value in before.get("enum", ["any value"]) if value not in after["enum"]]
            yield from (f"{where}: value {value}: no longer taken" for value in gone)

    def _bounds(self, before: Json, after: Json, where: str) -> Iterator[str]:
        if not self._is_sent:
            return
        for name in ("pattern", "format", "const", "additionalProperties"):
            is_narrower = after.get(name) != before.get(name) and not isinstance(after.get(name), dict)
            if name in after and is_narrower and after[name] is not True:
                yield f"{where}: {name} is {after[name]}, was {before.get(name, 'free')}"
        for names, is_narrower_than in ((_LOWER, float.__lt__), (_UPPER, float.__gt__)):
            for name in names:
                bound, was = after.get(name), before.get(name)
                if bound is not None and (was is None or is_narrower_than(float(bound), float(was))):
                    yield f"{where}: {name} is {bound}, was {'free' if was is None else was}"

    def _choices(self, before: list[Json], after: list[Json], where: str) -> Iterator[str]:
        """Each choice that is sent must go on being taken; each that is read must be one that was."""
        wanted, offered = (before, after) if self._is_sent else (after, before)
        if not before or not after:
            return
        for choice in wanted:
            pairs = [(choice, other) if self._is_sent else (other, choice) for other in offered]
            breaks = [list(self._apart().schemas(*pair, where)) for pair in pairs]
            if all(breaks):
                yield min(breaks, key=len)[0]

    def _apart(self) -> _Comparison:
        comparison = _Comparison(self._old, self._new, is_sent=self._is_sent)
        comparison._seen = set(self._seen)
        return comparison


def _shown(schema: Json) -> str:
    return json.dumps(schema.get("type", "one of several" if "anyOf" in schema else "any"))


def breaking_grpc(old: Json, new: Json) -> list[str]:
    """What stubs generated from ``old`` trip over in ``new``, on the wire or in their caller's code."""
    found: list[str] = []
    for kind, member, numbered in (
        ("message_type", "field", "number"),
        ("enum_type", "value", "number"),
        ("service", "method", ""),
    ):
        others = {one["name"]: one for one in _all(new, kind)}
        for one in _all(old, kind):
            if one["name"] not in others:
                found.append(f"{one['name']}: removed")
                continue
            after = {item["name"]: item for item in others[one["name"]].get(member, ())}
            for item in one.get(member, ()):
                found += _member(item, after.get(item["name"]), f"{one['name']}.{item['name']}", numbered)
    return found


def _all(contract: Json, kind: str) -> Iterator[Json]:
    """Those of the file; of messages also those within, which maps have."""
    for one in contract.get(kind, ()):
        yield one
        yield from ({**inner, "name": f"{one['name']}.{inner['name']}"} for inner in one.get("nested_type", ()))


def _member(before: Json, after: Json | None, where: str, numbered: str) -> Iterator[str]:
    if after is None:
        yield f"{where}: removed"
        return
    for name in sorted({*before, *after} - {"name", "json_name", "options", "oneof_index"}):
        if before.get(name) != after.get(name):
            word = "field number" if name == numbered else name
            yield f"{where}: {word} is {after.get(name, 'none')}, was {before.get(name, 'none')}"
    if ("oneof_index" in before) != ("oneof_index" in after):
        yield f"{where}: its place in a oneof changed"


CONTRACTS = ((OPENAPI, openapi, breaking_http), (GRPC, grpc_contract, breaking_grpc))


def text_of(contract: Mapping[str, object]) -> str:
    """As the files have it: a change of a line is a change of a fact."""
    return json.dumps(contract, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write both files, unless callers would break and `--breaking` is not given."""
    for path, make, breaking in CONTRACTS:
        contract = make()
        broken = breaking(json.loads(path.read_text()), contract) if path.exists() else []
        if broken and "--breaking" not in sys.argv:
            sys.exit("\n  ".join((f"{path.name}: these changes break callers; --breaking if they must:", *broken)))
        path.write_text(text_of(contract))


if __name__ == "__main__":
    main()
