"""The OpenAPI document as a page: plain HTML without scripts, so that it works on a machine without the internet."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any, Final

Document = dict[str, Any]  # Any: OpenAPI is a tree of every JSON kind

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 2.2rem; border-bottom: 1px solid #ddd }
h3, td:first-child { font-family: ui-monospace, monospace }
h3 { margin-bottom: .3rem }
.verb { color: #0a6 }
table { border-collapse: collapse; width: 100% }
td { padding: .2rem .8rem .2rem 0; vertical-align: top; border-bottom: 1px solid #f0f0f0 }
td:first-child { width: 16rem }
a { color: #06c; text-decoration: none }
"""


def render_page(document: Document) -> str:
    """Every operation with what it takes and gives, then every schema."""
    title = escape(document["info"]["title"])
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>',
        f"<style>{STYLE}</style></head><body><h1>{title} API</h1>",
        f"<p>{escape(document['info']['description'])} Machines read <a href='/openapi.json'>/openapi.json</a>.</p>",
        "<h2>Operations</h2>",
    ]
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            parts.extend(_operation(path, verb, operation))
    parts.append("<h2>Schemas</h2>")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts.extend(_schema(name, schema))
    return "\n".join([*parts, "</body></html>"])


def _operation(path: str, verb: str, operation: Document) -> Iterator[str]:
    yield f'<h3><span class="verb">{verb.upper()}</span> {escape(path)}</h3>'
    yield f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p><table>"
    for parameter in operation.get("parameters", ()):
        words = f"{_type(parameter['schema'])}. {escape(parameter.get('description', ''))}"
        yield _row(f"{parameter['in']} {parameter['name']}", words)
    body = operation.get("requestBody")
    if body:
        yield _row("body", _content(body))
    for status, response in operation["responses"].items():
        yield _row(f"answer {status}", f"{escape(response['description'])} {_content(response)}")
    yield "</table>"


def _schema(name: str, schema: Document) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p><table>'
    required = schema.get("required", ())
    for field, detail in schema.get("properties", {}).items():
        yield _row(field, _type(detail) + ("" if field in required else " (may be left out)"))
    yield "</table>"


def _row(field: str, words: str) -> str:
    return f"<tr><td>{escape(field)}</td><td>{words}</td></tr>"


def _content(holder: Document) -> str:
    """What a body holds, by media type."""
    return ", ".join(
        f"{_type(content['schema'])} as {escape(media)}" if content.get("schema") else escape(media)
        for media, content in holder.get("content", {}).items()
    )


def _type(schema: Document) -> str:
    """A JSON schema in a few words, with links to what it refers to."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    kind = escape(str(schema.get("format") or schema.get("type", "anything")))
    return "absent" if kind == "null" else kind
