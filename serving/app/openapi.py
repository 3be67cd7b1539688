"""The OpenAPI document of one deployment, made from the model's signature: every path, and every status that it answers."""

from __future__ import annotations

from typing import Any

from modelstore.signature import Column, Signature
from serving.config import Config
from serving.wire.columns import largest
from serving.wire.oip import MAX_OUTPUTS, outputs_of

JSON = "application/json"


def document(config: Config, signature: Signature) -> dict[str, Any]:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": config.name,
            "version": "v2",
            "description": f"Predicts {signature.target.name}. Open Inference Protocol v2, and plain rows.",
        },
        "paths": {**_predict(signature), **_infer(config, signature), **_requests(), **_health()},
        "components": {"schemas": _schemas(config, signature)},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _errors(*codes: int) -> dict[str, Any]:
    return {str(code): _json(_ref("Error"), WORDS[code]) for code in codes}


WORDS = {
    400: "It cannot be read",
    403: "It was sent by another site's page",
    404: "There is no such thing",
    408: "The body did not arrive in time",
    409: "There is no result",
    410: "The result is no longer kept",
    413: "The body is too large",
    415: "The body is of another type",
    422: "The values do not fit the model; `errors` names the fields",
    429: "Too many requests; see Retry-After",
    500: "The prediction failed",
    503: "Nobody can answer now; see Retry-After",
}
POSTING = (400, 403, 408, 413, 415, 422, 429, 500, 503)
PREFER = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": "respond-async: answer 202 at once, with a Location to poll",
}
ACCEPTED = {
    "202": {
        "description": "Accepted: poll Location",
        "headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "string"}}},
        "content": {JSON: {"schema": _ref("Accepted")}},
    }
}


def _predict(signature: Signature) -> dict[str, Any]:
    rows = {
        "schema": {"anyOf": [_ref("Rows"), _ref("Row")]},
        "examples": {
            "one": {"summary": "One row", "value": signature.example()},
            "many": {"summary": "Rows", "value": {"rows": [signature.example()]}},
        },
    }
    return {
        "/predict": {
            "post": {
                "operationId": "predict",
                "summary": "Predict plain rows, or a CSV",
                "parameters": [PREFER],
                "requestBody": {"required": True, "content": {JSON: rows, "text/csv": {"schema": {"type": "string"}}}},
                "responses": {
                    "200": {
                        "description": "A prediction for each row",
                        "content": {JSON: {"schema": _ref("Predictions")}, "text/csv": {"schema": {"type": "string"}}},
                    },
                    **ACCEPTED,
                    **_errors(*POSTING),
                },
            }
        }
    }


def _infer(config: Config, signature: Signature) -> dict[str, Any]:
    tensors = [{"name": c.name, "shape": [1], "datatype": c.datatype, "data": [c.example]} for c in signature.inputs]
    body = {"schema": _ref("InferenceRequest"), "example": {"inputs": tensors}}
    model = f"/v2/models/{config.name}"
    return {
        "/v2": {
            "get": {
                "operationId": "server",
                "summary": "Server metadata",
                "responses": {"200": _json({"type": "object"}, "Name, version, extensions")},
            }
        },
        model: {
            "get": {
                "operationId": "model",
                "summary": "Model metadata",
                "responses": {"200": _json({"type": "object"}, "Inputs and outputs"), **_errors(404, 503)},
            }
        },
        f"{model}/ready": {
            "get": {
                "operationId": "modelReady",
                "summary": "Whether the model is served",
                "responses": {"200": _json({"type": "object"}, "Ready"), "503": _json({"type": "object"}, "Not ready")},
            }
        },
        f"{model}/infer": {
            "post": {
                "operationId": "infer",
                "summary": "Predict, by the Open Inference Protocol v2",
                "description": "A tensor for each column, named after it. Answers the predictions, then the probabilities.",
                "parameters": [PREFER],
                "requestBody": {"required": True, "content": {JSON: body}},
                "responses": {"200": _json(_ref("InferenceResponse"), "The outputs"), **ACCEPTED, **_errors(*POSTING)},
            }
        },
    }


def _requests() -> dict[str, Any]:
    name = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/requests/{id}": {
            "get": {
                "operationId": "request",
                "summary": "State and result of an accepted request",
                "parameters": [name],
                "responses": {
                    "200": _json(_ref("Request"), "It is done: SUCCEEDED with its result, or FAILED with its error"),
                    "202": _json(_ref("Request"), "It is pending"),
                    **_errors(404, 429, 503),
                    "410": _json({"type": "object"}, WORDS[410]),
                },
            }
        },
        "/requests/{id}/results.csv": {
            "get": {
                "operationId": "results",
                "summary": "The rows with their predictions",
                "parameters": [name],
                "responses": {
                    "200": {"description": "A table", "content": {"text/csv": {"schema": {"type": "string"}}}},
                    **_errors(404, 409, 410, 429, 503),
                },
            }
        },
    }


def _health() -> dict[str, Any]:
    status = {"type": "object", "properties": {"status": {"type": "string"}, "reason": {"type": "string"}}}
    return {
        "/healthz": {
            "get": {"operationId": "healthz", "summary": "The process answers", "responses": {"200": _json(status, "Alive")}}
        },
        "/readyz": {
            "get": {
                "operationId": "readyz",
                "summary": "A model is served",
                "responses": {"200": _json(status, "Ready"), "503": _json(status, "Not ready, and why")},
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Prometheus metrics",
                "responses": {"200": {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}},
            }
        },
    }


def value_schema(column: Column) -> dict[str, Any]:
    """What one value of an input may be."""
    match column.kind:
        case "numeric":
            return {"type": ["number", "null"], "minimum": -largest(column), "maximum": largest(column)}
        case "boolean":
            return {"type": ["boolean", "null"]}
        case "datetime":
            return {"type": ["string", "null"], "format": "date-time"}
        case _:
            return {"type": ["string", "null"], "maxLength": 10_000}


def _describe(column: Column) -> str:
    parts = []
    if column.minimum is not None and column.maximum is not None:
        parts.append(f"{column.minimum} to {column.maximum} in the training data")
    if column.categories:
        parts.append("one of " + ", ".join(column.categories[:20]) + (", …" if len(column.categories) > 20 else ""))
    return "; ".join([*parts, "null if not known"])


def _schemas(config: Config, signature: Signature) -> dict[str, Any]:
    properties = {c.name: {**value_schema(c), "description": _describe(c)} for c in signature.inputs}
    label = {
        "description": "In the target's own labels",
        **({"enum": signature.target.classes} if signature.target.classes else {"type": ["number", "null"]}),
    }
    text, state = {"type": "string"}, {"enum": ["PENDING", "SUCCEEDED", "FAILED"]}
    return {
        "Row": {"type": "object", "properties": properties, "required": signature.names(), "additionalProperties": False},
        "Rows": {
            "type": "object",
            "properties": {"rows": {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": config.limits.max_rows}},
            "required": ["rows"],
            "additionalProperties": False,
        },
        "Prediction": {
            "type": "object",
            "properties": {"prediction": label, "probabilities": {"type": "object", "additionalProperties": {"type": "number"}}},
            "required": ["prediction"],
        },
        "Predictions": {
            "type": "object",
            "properties": {"predictions": {"type": "array", "items": _ref("Prediction")}, "model": {"type": "object"}},
            "required": ["predictions", "model"],
        },
        "InferenceRequest": _inference_request(signature),
        "InferenceResponse": {
            "type": "object",
            "properties": {
                "model_name": text,
                "model_version": text,
                "id": text,
                "outputs": {"type": "array", "items": _ref("OutputTensor")},
            },
            "required": ["model_name", "outputs"],
        },
        "OutputTensor": {
            "type": "object",
            "properties": {
                "name": {"enum": [name for name, _, _ in outputs_of(signature)]},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "datatype": text,
                "data": {"type": "array"},
            },
            "required": ["name", "shape", "datatype"],
        },
        "Accepted": {
            "type": "object",
            "properties": {"id": text, "state": state, "location": text},
            "required": ["id", "state", "location"],
        },
        "Request": {
            "type": "object",
            "properties": {
                "id": text,
                "state": state,
                "rows": {"type": "integer"},
                "accepted": text,
                "finished": text,
                "result": {},
                "error": {"type": "object"},
            },
            "required": ["id", "state"],
        },
        "Error": {
            "type": "object",
            "properties": {
                "error": text,
                "reason": text,
                "errors": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"path": text, "message": text}, "required": ["path", "message"]},
                },
            },
            "required": ["error"],
        },
    }


def _inference_request(signature: Signature) -> dict[str, Any]:
    tensors = [
        {
            "type": "object",
            "properties": {
                "name": {"const": column.name},
                "shape": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1},
                    "minItems": 1,
                    "maxItems": 2,
                    "description": "[rows] or [rows, 1]",
                },
                "datatype": {"const": column.datatype},
                "data": {"type": "array", "items": value_schema(column), "minItems": 1, "description": _describe(column)},
            },
            "required": ["name", "shape", "datatype", "data"],
        }
        for column in signature.inputs
    ]
    return {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"], "maxLength": 256},
            "inputs": {
                "type": "array",
                "prefixItems": tensors,
                "items": {"anyOf": tensors},
                "minItems": len(tensors),
                "maxItems": len(tensors),
            },
            "outputs": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "properties": {"name": {"enum": [name for name, _, _ in outputs_of(signature)]}},
                    "required": ["name"],
                },
                "maxItems": MAX_OUTPUTS,
            },
        },
        "required": ["inputs"],
    }
