"""The table of `spec.openstack`, right and wrong, and the specs that name every field of it."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.specs.cases import Case

HERE = "spec.openstack"
OS: dict[str, Any] = {
    "identityRef": {"name": "cloud", "cloudName": "mini"},
    "flavor": {"filter": {"name": "m1.small"}},
    "image": {"filter": {"name": "debian-12"}},
}
SICK = {"type": "Ready", "status": "False", "timeoutSeconds": 300}
NET = {"filter": {"name": "private"}}
PORT = {"network": NET}


def os(**more: Any) -> dict[str, Any]:
    """A Machine's spec with this block."""
    return {"openstack": OS | more}


OPENSTACK = (
    Case("the least of a cloud", os()),
    Case("by ids", os(flavor={"id": "1"}, image={"id": "0b5f"})),
    Case("a clouds.yaml in a file", os(identityRef={"file": "/etc/openstack/clouds.yaml", "cloudName": "mini", "region": "r"})),
    Case("an imported server", {**os(), "managementPolicy": "unmanaged", "import": {"filter": {"name": "a b", "tags": ["x"]}}}),
    Case("kept when the Machine goes", {**os(), "managedOptions": {"onDelete": "detach"}}),
    Case("a port without security", os(ports=[PORT | {"disablePortSecurity": True}])),
    Case("groups from rules", os(securityGroups=[{"rules": [{"protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}]}])),
    Case("no flavor", {"openstack": {key: value for key, value in OS.items() if key != "flavor"}}, HERE),
    Case("a flavor as text", os(flavor="m1.small"), f"{HERE}.flavor"),
    Case("a flavor by neither", os(flavor={}), f"{HERE}.flavor"),
    Case("a flavor by both", os(flavor={"id": "1", "filter": {"name": "a"}}), f"{HERE}.flavor"),
    Case("an image by neither", os(image={}), f"{HERE}.image"),
    Case("a port without network", os(ports=[PORT, {}]), f"{HERE}.ports.1"),
    Case("a network by neither", os(ports=[{"network": {}}]), f"{HERE}.ports.0.network"),
    Case("a subnet by neither", os(ports=[PORT | {"fixedIPs": [{"subnet": {}}]}]), f"{HERE}.ports.0.fixedIPs.0.subnet"),
    Case("a port's group by rules", os(ports=[PORT | {"securityGroups": [{"rules": []}]}]),
         f"{HERE}.ports.0.securityGroups.0.rules"),
    Case("a group by two", os(securityGroups=[{"id": "a", "rules": []}]), f"{HERE}.securityGroups.0"),
    Case("no cloud", os(identityRef={"name": "a"}), f"{HERE}.identityRef"),
    Case("credentials from two places", os(identityRef={"name": "a", "file": "/a", "cloudName": "b"}), f"{HERE}.identityRef"),
    Case("credentials from nowhere", os(identityRef={"cloudName": "b"}), f"{HERE}.identityRef"),
    Case("two keys", os(sshKeyName="a", sshPublicKey="ssh-ed25519 AAAA"), HERE),
    Case("a role", os(cloudInit={"role": "swarmHost", "packages": ["htop"]}, userData="#!/bin/sh\ntrue")),
    Case("a worker of Ray", os(cloudInit={"role": "rayWorker", "ray": {"version": "2.60.0", "headAddress": "10.0.0.4"}})),
    Case("a worker without its head", os(cloudInit={"role": "rayWorker", "ray": {"version": "2.60.0"}}), f"{HERE}.cloudInit"),
    Case("a head with another head", os(cloudInit={"role": "rayHead", "ray": {"version": "2.60.0", "headAddress": "a"}}),
         f"{HERE}.cloudInit"),
    Case("Ray for a Swarm host", os(cloudInit={"role": "swarmHost", "ray": {"version": "2.60.0"}}), f"{HERE}.cloudInit"),
    Case("an unknown role", os(cloudInit={"role": "head"}), f"{HERE}.cloudInit.role"),
    Case("a package with a command", os(cloudInit={"packages": ["a; reboot"]}), f"{HERE}.cloudInit.packages.0"),
    Case("a version with a command",
         os(cloudInit={"role": "rayHead", "ray": {"version": "2 --index-url http://a"}}), f"{HERE}.cloudInit.ray.version"),
    Case("user data that cloud-init cannot tell", os(cloudInit={}, userData="packages: [a]"), HERE),
    Case("a private key", os(sshPublicKey="-----BEGIN\nOPENSSH"), f"{HERE}.sshPublicKey"),
    Case("a tag with a comma", os(tags=["a,b"]), f"{HERE}.tags.0"),
    Case("a misspelt flavor", {"openstack": OS | {"flavour": {"id": "1"}}}, f"{HERE}.flavour"),
    Case("an import by both", {**os(), "managementPolicy": "unmanaged", "import": {"id": "a", "filter": {"name": "b"}}},
         "spec.import"),
    Case("an import by neither", {**os(), "managementPolicy": "unmanaged", "import": {}}, "spec.import"),
    Case("a simulated one by filter",
         {"simulated": {"endpoint": "http://a"}, "managementPolicy": "unmanaged", "import": {"filter": {"name": "b"}}},
         "spec.import", crd_refused="spec"),
    Case("a simulated one that stays", {"simulated": {"endpoint": "http://a"}, "managedOptions": {"onDelete": "detach"}},
         "spec.managedOptions", crd_refused="spec"),
    Case("a health check", {**os(), "machineHealthCheck": {"unhealthyConditions": [SICK], "maxUnhealthy": "40%"}}),
    Case("a health check without conditions", {**os(), "machineHealthCheck": {"unhealthyConditions": []}},
         "spec.machineHealthCheck.unhealthyConditions"),
    Case("silence as a reason to replace",
         {**os(), "machineHealthCheck": {"unhealthyConditions": [SICK | {"status": "Unknown"}]}},
         "spec.machineHealthCheck.unhealthyConditions.0.status"),
    Case("more than all", {**os(), "machineHealthCheck": {"unhealthyConditions": [SICK], "maxUnhealthy": "101%"}},
         "spec.machineHealthCheck.maxUnhealthy"),
    Case("two limits",
         {**os(), "machineHealthCheck": {"unhealthyConditions": [SICK], "maxUnhealthy": "2", "unhealthyRange": "[1-2]"}},
         "spec.machineHealthCheck"),
    Case("the health of this machine", {"local": {}, "machineHealthCheck": {"unhealthyConditions": [SICK]}},
         "spec.machineHealthCheck", crd_refused="spec"),
    Case("the health of somebody else's server",
         {**os(), "managementPolicy": "unmanaged", "import": {"id": "a"}, "machineHealthCheck": {"unhealthyConditions": [SICK]}},
         "spec.machineHealthCheck", crd_refused="spec"),
    Case("another size", os(flavor={"id": "2"}), old=os()),
    Case("the credentials elsewhere", os(identityRef={"name": "other", "cloudName": "mini"}), old=os()),
    Case("another cloud of the same", os(identityRef={"name": "cloud", "cloudName": "maxi"}), f"{HERE}.identityRef", old=os()),
    Case("another region", os(identityRef={"name": "cloud", "cloudName": "mini", "region": "r"}), f"{HERE}.identityRef",
         old=os()),
    Case("from simulated to real", os(), "spec.simulated", old={"simulated": {"endpoint": "http://a"}}, crd_refused="spec"),
)  # fmt: skip

MACHINE_SETS = (
    Case("a pool", {"replicas": 3, "template": {"spec": os()}}),
    Case("none for now", {"replicas": 0, "template": {"spec": {"local": {}}}}),
    Case("no template", {"replicas": 3}, "spec"),
    Case("a template without provider", {"template": {"spec": {}}}, "spec.template.spec"),
    Case("too many", {"replicas": 33, "template": {"spec": os()}}, "spec.replicas"),
    Case("fewer than none", {"replicas": -1, "template": {"spec": os()}}, "spec.replicas"),
    Case("one server for many",
         {"template": {"spec": {**os(), "managementPolicy": "unmanaged", "import": {"id": "a"}}}}, "spec.template.spec",
         crd_refused="spec.template"),
    Case("a flavor by neither, in a template", {"template": {"spec": os(flavor={})}}, "spec.template.spec.openstack.flavor"),
    Case("another template", {"template": {"spec": {"local": {}}}}, old={"template": {"spec": os()}}),
)  # fmt: skip

BY_ID, BY_FILTER = {"id": "a"}, {"filter": {"name": "a", "tags": ["b"]}}
RULE = {"direction": "egress", "etherType": "IPv6", "protocol": "udp", "portRangeMin": 1, "portRangeMax": 2,
        "remoteIPPrefix": "::/0"}  # fmt: skip
FULL_PORT = {
    "network": BY_ID, "description": "a", "fixedIPs": [{"subnet": BY_ID, "ipAddress": "10.0.0.1"}], "securityGroups": [BY_ID],
    "allowedAddressPairs": [{"ipAddress": "10.0.0.0/24", "macAddress": "fa:16:3e:00:00:01"}],
    "macAddress": "fa:16:3e:00:00:02", "vnicType": "direct", "disablePortSecurity": True, "tags": ["a"],
}  # fmt: skip
_FULL: list[dict[str, Any]] = [
    os(identityRef={"name": "a", "cloudName": "b", "region": "c"}, sshKeyName="a", ports=[FULL_PORT],
       securityGroups=[{"rules": [RULE]}], rootVolume={"sizeGiB": 1, "type": "a", "availabilityZone": {"name": "a"}},
       additionalBlockDevices=[{"name": "a", "sizeGiB": 1, "type": "a"}], floatingIP={"network": BY_ID},
       serverGroup={"id": "a"}, configDrive=True, serverMetadata=[{"key": "a", "value": "a"}], tags=["a"],
       availabilityZone="a", userData="#cloud-config", resyncPeriodSeconds=60,
       cloudInit={"role": "rayWorker", "packages": ["a"], "ray": {"version": "1", "headAddress": "a", "port": 2000}})
    | {"managedOptions": {"onDelete": "detach"}, "remediation": {"nodeStartupTimeoutSeconds": 60},
       "machineHealthCheck": {"unhealthyConditions": [SICK], "maxUnhealthy": "40%"}},
    os(identityRef={"file": "a", "cloudName": "b"}, flavor={"id": "a"}, image={"id": "a"}, sshPublicKey="a",
       ports=[{"network": BY_FILTER, "securityGroups": [BY_FILTER], "fixedIPs": [{"subnet": BY_FILTER}]}],
       securityGroups=[{"id": "a"}], floatingIP={"network": BY_FILTER}, serverGroup={"filter": {"name": "a"}})
    | {"machineHealthCheck": {"unhealthyConditions": [SICK], "unhealthyRange": "[1-3]"}},
    os(flavor={"filter": {"name": "a"}}, image=BY_FILTER, securityGroups=[BY_FILTER])
    | {"managementPolicy": "unmanaged", "import": BY_FILTER},
]  # fmt: skip
FULL_OPENSTACK: list[dict[str, Any]] = json.loads(json.dumps(_FULL))  # nothing shared: the campaign changes one place at a time
