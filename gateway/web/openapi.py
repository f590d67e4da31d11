"""The OpenAPI 3.1 document of the control API, generated from its table of routes."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from gateway.web.control.call import AdminRoute
from gateway.web.control.schemas import Problem

_CAPTURE = re.compile(r"\{(\w+)(\*|:[^}]*)?\}")
_REFERENCE = "#/components/schemas/{name}"


def describe(routes: Iterable[AdminRoute], prefix: str) -> dict[str, Any]:
    """The document; `prefix` ends with a slash."""
    routes = tuple(routes)
    types = [kind for route in routes for kind in (route.request, route.response) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_REFERENCE)
    ready = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        request = next(ready) if route.request is not None else None
        response = next(ready) if route.response is not None else None
        path = prefix + _CAPTURE.sub(r"{\1}", route.pattern)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, request, response)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Entrepot control API", "version": version("entrepot")},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "entrepot_session"},
            },
        },
    }


def _operation(route: AdminRoute, request: dict[str, Any] | None, response: dict[str, Any] | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}.{route.handler.__name__}".replace("._", "."),
        "summary": (route.handler.__doc__ or "").strip(),
        "responses": {
            str(route.status): _content("Done.", response),
            "default": {
                "description": "An error.",
                "content": {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
            },
        },
        "security": [{"token": [str(route.scope)]}, {"session": []}] if route.scope is not None else [],
    }
    if request is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": request}}}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name, _ in _CAPTURE.findall(route.pattern)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in route.query.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    return operation


def _content(description: str, schema: dict[str, Any] | None) -> dict[str, Any]:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
