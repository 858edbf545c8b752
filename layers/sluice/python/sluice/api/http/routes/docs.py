"""The OpenAPI document as a page that people read, made here: it loads nothing from anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sluice.api.error_status import ANSWERS
from sluice.api.http.responses import tag_matches
from sluice.domain.errors import MEANINGS, MORE, ErrorCode

Declared = dict[str, Any]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{overflow:auto;padding:.75rem;border:1px solid #8885;border-radius:4px}
h2{margin-top:2.5rem;border-top:1px solid #8885;padding-top:1rem}
h2 code{font-size:1rem}
.method{font-weight:700}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #8883}
td p{margin:0 0 .25rem}
summary{cursor:pointer;margin:.5rem 0}
"""


class Page:
    """An answer that is the same for every caller: made at the first request, then sent as the bytes it became.

    Any stranger may ask for it as often as it likes, and all of HTTP is answered by one event loop.
    """

    def __init__(self, make: Callable[[], Response]) -> None:
        self._make = make
        self._body = b""
        self._headers: dict[str, str] = {}

    def answer(self, request: Request) -> Response:
        """The page, or 304 for a caller that has it."""
        if not self._headers:
            made = self._make()
            etag = f'"{hashlib.sha256(made.body).hexdigest()[:32]}"'
            self._body = bytes(made.body)
            self._headers = {**made.headers, "ETag": etag, "Cache-Control": "no-cache"}
        if tag_matches(request.headers.get("if-none-match", ""), self._headers["ETag"]):
            kept = {name: value for name, value in self._headers.items() if not name.startswith("content-")}
            return Response(status_code=304, headers=kept)
        return Response(self._body, headers=self._headers)


def docs_page(document: Declared) -> HTMLResponse:
    """Render the document. The page needs no script, no font and no network."""
    return HTMLResponse("".join(_page(document)), headers={"Content-Security-Policy": POLICY})


def home_page() -> HTMLResponse:
    """Say what answers here, and where to read on."""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sluice</title><style>{_STYLE}</style>'
        "</head><body><h1>Sluice</h1><p>A table of any size becomes a file behind a link.</p><ul>"
        '<li><a href="/docs">The calls of this service</a></li>'
        '<li><a href="/openapi.json">openapi.json</a>, for programs</li>'
        '<li><a href="/health/live">Is it alive?</a></li></ul></body></html>'
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def problem_page(code: ErrorCode) -> HTMLResponse:
    """What an error code means, who must act and what lets the request through."""
    meaning, (grpc, http) = MEANINGS[code], ANSWERS[code]
    again = "The same request may be sent again." if meaning.retryable else "The same request fails again."
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{code}</title><style>{_STYLE}</style>'
        f"</head><body><h1><code>{code}</code></h1><p>{_text(meaning.sentence)}</p><p>{_text(MORE.get(code, ''))}</p>"
        f"<p>Who must act: {meaning.who}. {again} HTTP {http}, gRPC {grpc.name}.</p></body></html>"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def _page(document: Declared) -> Iterator[str]:
    title = escape(document["info"]["title"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
    yield f"<h1>{title} API {escape(document['info']['version'])}</h1>"
    yield f"<p>{_text(document['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p><ul>'
    operations = [
        (method.upper(), path, operation)
        for path, by_method in document["paths"].items()
        for method, operation in by_method.items()
    ]
    for method, path, operation in operations:
        yield f'<li><a href="#{_anchor(method, path)}"><code>{method} {escape(path)}</code></a> '
        yield f"{_text(operation.get('summary', ''))}</li>"
    yield "</ul>"
    for method, path, operation in operations:
        yield from _operation(method, path, operation)
    yield "<h2>Schemas</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f"<p>{_text(schema.get('description', ''))}</p>{_members(schema)}"
        yield f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre></details>"
    yield "</body></html>"


def _operation(method: str, path: str, operation: Declared) -> Iterator[str]:
    yield f'<h2 id="{_anchor(method, path)}"><code><span class="method">{method}</span> {escape(path)}</code></h2>'
    yield f"<p>{_text(operation.get('summary', ''))}.</p>"
    if operation.get("parameters"):
        yield "<table><tr><th>Parameter</th><th>In</th><th>Type</th><th>Meaning</th></tr>"
        for parameter in operation["parameters"]:
            need = " (required)" if parameter.get("required") else ""
            yield f"<tr><td><code>{escape(parameter['name'])}</code>{need}</td><td>{escape(parameter['in'])}</td>"
            yield f"<td>{_schema(parameter['schema'])}</td><td>{_text(parameter.get('description', ''))}</td></tr>"
        yield "</table>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body <code>{escape(kind)}</code>: {_schema(content['schema'])}</p>"
        if "example" in content:
            shown = content["example"]
            yield f"<pre>{escape(shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False))}</pre>"
    yield "<table><tr><th>Answer</th><th>Meaning</th><th>Content</th></tr>"
    for status, answer in sorted(operation["responses"].items()):
        contents = "".join(
            f"<p><code>{escape(kind)}</code> {_schema(content.get('schema', {}))}</p>"
            for kind, content in answer.get("content", {}).items()
        )
        yield f"<tr><td>{escape(status)}</td><td>{_text(answer['description'])}</td><td>{contents}</td></tr>"
    yield "</table>"


def _members(schema: Declared) -> str:
    """A table of the members that are described; the others speak for themselves in the JSON below it."""
    described = [(name, member) for name, member in schema.get("properties", {}).items() if "description" in member]
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_text(member['description'])}</td></tr>"
        for name, member in described
    )
    return f"<table><tr><th>Name</th><th>Meaning</th></tr>{rows}</table>" if rows else ""


def _schema(schema: Declared) -> str:
    """One line for a schema: a link for one with a name, its JSON for a small one."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}"><code>{name}</code></a>'
    shown = {name: value for name, value in schema.items() if name not in {"title", "description"}}
    return f"<code>{escape(json.dumps(shown))}</code>" if shown else ""


def _text(text: str) -> str:
    """Escape, and set what is in backticks as code."""
    parts = escape(text).split("`")
    marked = "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
    return marked.replace("\n\n", "<br>")


def _anchor(method: str, path: str) -> str:
    return escape(f"{method.lower()}{path}".replace("/", "-").replace("{", "").replace("}", ""))
