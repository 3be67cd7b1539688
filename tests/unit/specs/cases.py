"""One table of specs, right and wrong, that both the model and the CRD must judge alike."""

from __future__ import annotations

from typing import Any, NamedTuple

SIM = {"endpoint": "http://127.0.0.1:9"}


class Case(NamedTuple):
    """An object and, if it must be refused, the path of what is wrong. With `old`, it is an update of that."""

    id: str
    spec: Any
    refused: str | None = None
    old: Any = None
    crd_refused: str | None = None
    """Where the CRD's rule stands, if it cannot point as deep as the model does."""


MACHINES = (
    Case("this machine", {"local": {}}),
    Case("a simulated one", {"simulated": SIM}),
    Case("every field", {
        "simulated": SIM | {"credentialsRef": {"env": "TOKEN"}, "flavor": "big", "image": "x", "ports": [{"network": "a"}],
                            "floatingIP": True, "serverMetadata": [{"key": "a", "value": ""}]},
        "remediation": {"maxRetry": 0, "retryPeriodSeconds": 0},
    }),
    Case("an imported one", {"simulated": SIM, "managementPolicy": "unmanaged", "import": {"id": "x"}}),
    Case("a null where nothing is fine", {"local": {}, "simulated": None, "import": None}),
    Case("no spec", None, "spec"),
    Case("no provider", {}, "spec"),
    Case("two providers", {"local": {}, "simulated": SIM}, "spec"),
    Case("a provider that is null", {"local": None}, "spec"),
    Case("local cannot be unmanaged", {"local": {}, "managementPolicy": "unmanaged"}, "spec.managementPolicy",
         crd_refused="spec"),
    Case("local cannot be imported", {"local": {}, "managementPolicy": "unmanaged", "import": {"id": "x"}},
         "spec.managementPolicy", crd_refused="spec"),
    Case("unmanaged without import", {"simulated": SIM, "managementPolicy": "unmanaged"}, "spec.managementPolicy",
         crd_refused="spec"),
    Case("import without unmanaged", {"simulated": SIM, "import": {"id": "x"}}, "spec.managementPolicy", crd_refused="spec"),
    Case("a field of the provider at the top", {"local": {}, "flavor": "x"}, "spec.flavor"),
    Case("a field that local does not have", {"local": {"flavor": "x"}}, "spec.local.flavor"),
    Case("a misspelt field", {"simulated": SIM | {"flavour": "x"}}, "spec.simulated.flavour"),
    Case("no endpoint", {"simulated": {}}, "spec.simulated"),
    Case("an endpoint of another scheme", {"simulated": {"endpoint": "file:///etc/passwd"}}, "spec.simulated.endpoint"),
    Case("an endpoint that is not ASCII", {"simulated": {"endpoint": "http://ехample"}}, "spec.simulated.endpoint"),
    Case("an endpoint with a password", {"simulated": {"endpoint": "http://me:pw@a"}}, "spec.simulated.endpoint"),
    Case("an endpoint with a line break", {"simulated": {"endpoint": "http://a\r\nHost: b"}}, "spec.simulated.endpoint"),
    Case("no credentials in the reference", {"simulated": SIM | {"credentialsRef": {}}}, "spec.simulated.credentialsRef"),
    Case("two credentials in the reference", {"simulated": SIM | {"credentialsRef": {"env": "A", "file": "/a"}}},
         "spec.simulated.credentialsRef"),
    Case("a bad name of a variable", {"simulated": SIM | {"credentialsRef": {"env": "A-B"}}},
         "spec.simulated.credentialsRef.env"),
    Case("a Secret's name that climbs", {"simulated": SIM | {"credentialsRef": {"secretKeyRef": {"name": "../a", "key": "b"}}}},
         "spec.simulated.credentialsRef.secretKeyRef.name"),
    Case("nine ports", {"simulated": SIM | {"ports": [{"network": "a"}] * 9}}, "spec.simulated.ports"),
    Case("a port without a network", {"simulated": SIM | {"ports": [{"network": "a"}, {}]}}, "spec.simulated.ports.1"),
    Case("an empty network", {"simulated": SIM | {"ports": [{"network": ""}]}}, "spec.simulated.ports.0.network"),
    Case("text for a boolean", {"simulated": SIM | {"floatingIP": "true"}}, "spec.simulated.floatingIP"),
    Case("one for a boolean", {"simulated": SIM | {"floatingIP": 1}}, "spec.simulated.floatingIP"),
    Case("a number for text", {"simulated": SIM | {"flavor": 5}}, "spec.simulated.flavor"),
    Case("text for a number", {"local": {}, "remediation": {"maxRetry": "3"}}, "spec.remediation.maxRetry"),
    Case("a boolean for a number", {"local": {}, "remediation": {"maxRetry": True}}, "spec.remediation.maxRetry"),
    Case("half a retry", {"local": {}, "remediation": {"maxRetry": 1.5}}, "spec.remediation.maxRetry"),
    Case("too many retries", {"local": {}, "remediation": {"maxRetry": 11}}, "spec.remediation.maxRetry"),
    Case("fewer than no retries", {"local": {}, "remediation": {"maxRetry": -1}}, "spec.remediation.maxRetry"),
    Case("another policy", {"local": {}, "managementPolicy": "Managed"}, "spec.managementPolicy"),
    Case("a list for an object", {"local": []}, "spec.local"),
    Case("an object for a list", {"simulated": SIM | {"ports": {"network": "a"}}}, "spec.simulated.ports"),

    Case("an update in place", {"simulated": SIM | {"flavor": "big"}}, old={"simulated": SIM}),
    Case("a policy written out", {"local": {}, "managementPolicy": "managed"}, old={"local": {}}),
    Case("another provider", {"simulated": SIM}, "spec.local", old={"local": {}}, crd_refused="spec"),
    Case("another policy later", {"simulated": SIM, "managementPolicy": "unmanaged", "import": {"id": "x"}},
         "spec.managementPolicy", old={"simulated": SIM}, crd_refused="spec"),
    Case("another cloud", {"simulated": {"endpoint": "http://127.0.0.1:10"}}, "spec.simulated.endpoint",
         old={"simulated": SIM}, crd_refused="spec.simulated"),
)  # fmt: skip


def of(kind: str, spec: Any) -> dict[str, Any]:
    """An object of this kind."""
    obj = {"apiVersion": "anneal.dev/v1alpha1", "kind": kind, "metadata": {"name": "a", "namespace": "default"}}
    return obj if spec is None else obj | {"spec": spec}


def machine(spec: Any) -> dict[str, Any]:
    """A Machine."""
    return of("Machine", spec)
