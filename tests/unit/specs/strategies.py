"""Random specs that are right, and random values of any kind."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
words = st.from_regex(r"[-._a-zA-Z0-9]{1,30}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=40)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def _some(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


credentials = st.one_of(
    _some({"file": st.just("/run/token")}, {}),
    _some({"env": st.from_regex(r"[A-Z_]{1,20}", fullmatch=True)}, {}),
    _some({"secretKeyRef": _some({"name": names, "key": words}, {})}, {}),
)
simulated = _some(
    {"endpoint": st.just("http://127.0.0.1:9")},
    {
        "credentialsRef": credentials,
        "flavor": words,
        "image": words,
        "ports": st.lists(_some({"network": words}, {}), max_size=8),
        "floatingIP": st.booleans(),
        "serverMetadata": st.lists(_some({"key": words, "value": texts}, {}), max_size=3),
    },
)
label = st.from_regex(r"[ -+\-.:-~]{1,30}", fullmatch=True)
named = st.one_of(_some({"id": words}, {}), _some({"filter": _some({"name": label}, {})}, {}))
tags = st.lists(label, max_size=3)
tagged = st.one_of(_some({"id": words}, {}), _some({"filter": _some({}, {"name": label, "tags": tags})}, {}))
rules = st.lists(_some({}, {"protocol": st.sampled_from(["tcp", "udp"]), "portRangeMin": st.integers(1, 65_535)}), max_size=2)
openstack = _some(
    {
        "identityRef": st.one_of(
            _some({"name": names, "cloudName": label}, {"region": label}), _some({"file": label, "cloudName": label}, {})
        ),
        "flavor": named,
        "image": tagged,
    },
    {
        "ports": st.lists(
            _some(
                {"network": tagged},
                {"fixedIPs": st.lists(_some({}, {"subnet": tagged, "ipAddress": st.just("10.0.0.1")}), max_size=2), "tags": tags},
            ),
            max_size=3,
        ),
        "securityGroups": st.lists(st.one_of(tagged, _some({"rules": rules}, {})), max_size=2),
        "floatingIP": _some({}, {"network": tagged}),
        "serverGroup": named,
        "tags": tags,
        "configDrive": st.booleans(),
        "cloudInit": st.sampled_from(
            [{}, {"role": "swarmHost", "packages": ["a"]}, {"role": "rayHead", "ray": {"version": "2.60.0"}}]
        ),
        "userData": texts.filter(str.isascii).map("#".__add__),
    },
)
remediation = _some({}, {"maxRetry": st.integers(0, 10), "retryPeriodSeconds": st.integers(0, 86_400)})
sick = _some(
    {"type": st.sampled_from(["Ready", "Provisioned", "Bootstrapped"]), "timeoutSeconds": st.integers(0, 604_800)},
    {"status": st.just("False")},
)
health = st.one_of(
    _some({"unhealthyConditions": st.lists(sick, min_size=1, max_size=3)}, {"maxUnhealthy": st.sampled_from(["0", "2", "40%"])}),
    _some({"unhealthyConditions": st.lists(sick, min_size=1, max_size=3)}, {"unhealthyRange": st.just("[1-3]")}),
)
machine_specs = st.one_of(
    _some({"local": st.just({})}, {"remediation": remediation, "managementPolicy": st.just("managed")}),
    _some(
        {"openstack": openstack},
        {
            "remediation": remediation,
            "managedOptions": _some({}, {"onDelete": st.sampled_from(["delete", "detach"])}),
            "machineHealthCheck": health,
        },
    ),
    _some({"simulated": simulated}, {"remediation": remediation, "managementPolicy": st.just("managed")}),
    _some(
        {"simulated": simulated, "managementPolicy": st.just("unmanaged"), "import": _some({"id": words}, {})},
        {"remediation": remediation},
    ),
)
metadata = _some(
    {"name": names, "namespace": st.just("default")},
    {"labels": st.dictionaries(names, names, max_size=3), "annotations": st.dictionaries(names, texts, max_size=3)},
)
machines = _some(
    {"apiVersion": st.just("anneal.dev/v1alpha1"), "kind": st.just("Machine"), "metadata": metadata, "spec": machine_specs}, {}
)
config_maps = _some(
    {"apiVersion": st.just("v1"), "kind": st.just("ConfigMap"), "metadata": metadata},
    {"data": st.dictionaries(words, texts, max_size=4)},
)
