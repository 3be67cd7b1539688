"""The tables of specs of the kinds from table to served model, and one spec of each that names every field."""

from __future__ import annotations

from typing import Any

from tests.unit.specs.cases import Case

DIGEST = "sha256:" + "0" * 64
OTHER = "sha256:" + "1" * 64
OBJECTIVE = {"type": "maximize", "objectiveMetricName": "accuracy"}
EXPERIMENT: dict[str, Any] = {"datasetRef": {"name": "a"}, "clusterRef": {"name": "b"}, "objective": OBJECTIVE}
TUNED = {"name": "forest", "estimator": "RandomForestClassifier"}
MODEL = {"fromExperiment": {"name": "a"}}
SERVED: dict[str, Any] = {"local": {}, "predictor": {"model": MODEL}}


def tuned(**parameter: Any) -> dict[str, Any]:
    return EXPERIMENT | {"candidates": [TUNED | {"parameters": [{"name": "n_estimators"} | parameter]}]}


DATASETS = (
    Case("a file", {"uri": "data/a.csv", "target": "y"}),
    Case("a bucket", {"uri": "s3://bucket/a.parquet", "credentialsRef": {"env": "KEY"}}),
    Case("with a schema", {"uri": "a.csv", "schema": {"fields": [{"name": "a b", "type": "number"}], "extraFields": "Deny"}}),
    Case("no uri", {}, "spec"),
    Case("a uri with a line break", {"uri": "a\nb"}, "spec.uri"),
    Case("a digest that is none", {"uri": "a", "digest": "abc"}, "spec.digest"),
    Case("pinned and followed", {"uri": "http://a/b", "digest": DIGEST, "refreshIntervalSeconds": 60},
         "spec.refreshIntervalSeconds", crd_refused="spec"),
    Case("a local file with credentials", {"uri": "a.csv", "credentialsRef": {"env": "A"}}, "spec.credentialsRef",
         crd_refused="spec"),
    Case("a local file with hosts", {"uri": "file:///a.csv", "allowedHosts": ["a"]}, "spec.allowedHosts", crd_refused="spec"),
    Case("no columns", {"uri": "a", "schema": {"fields": []}}, "spec.schema.fields"),
    Case("an unknown type", {"uri": "a", "schema": {"fields": [{"name": "x", "type": "float"}]}}, "spec.schema.fields.0.type"),
    Case("a share above one", {"uri": "a", "checks": {"maxNullShare": 1.5}}, "spec.checks.maxNullShare"),
)  # fmt: skip

RAY_CLUSTERS = (
    Case("on this machine", {"local": {}}),
    Case("of a given size", {"local": {"numCpus": 2, "memory": "2Gi", "objectStoreMemory": "500Mi"}}),
    Case("an existing one", {"address": "10.0.0.1:6379", "tokenFile": "/a"}),
    Case("neither", {}, "spec"),
    Case("both", {"local": {}, "address": "a:1"}, "spec"),
    Case("an address without a port", {"address": "ray"}, "spec.address"),
    Case("a token for a local one", {"local": {}, "tokenFile": "/a"}, "spec.tokenFile", crd_refused="spec"),
    Case("suspending what is not ours", {"address": "a:1", "suspend": True}, "spec.suspend", crd_refused="spec"),
    Case("worker groups on this machine", {"local": {}, "workerGroupSpecs": []}, "spec.workerGroupSpecs"),
    Case("another provider", {"address": "a:1"}, "spec.local", old={"local": {}}, crd_refused="spec"),
    Case("another size", {"local": {"numCpus": 4}}, old={"local": {}}),
)  # fmt: skip

NODE = {"name": "a", "endpoint": "unix:///a/docker.sock", "address": "10.0.0.1"}
SECOND = {"name": "b", "endpoint": "ssh://me@b:22/run/docker.sock", "address": "10.0.0.2"}
TLS = {"caFile": "/a", "certFile": "/b", "keyFile": "/c"}

ON_MACHINE = {"name": "m", "machineRef": {"name": "worker-1"}}
SWARM_CLUSTERS = (
    Case("an existing one", {"endpoints": ["unix:///var/run/docker.sock"]}),
    Case("over TLS", {"endpoints": ["tcp://10.0.0.1:2376"], "tls": TLS}),
    Case("on loopback without TLS", {"endpoints": ["tcp://127.0.0.1:2375", "tcp://localhost:2375"]}),
    Case("one of engines", {"nodes": [NODE, SECOND]}),
    Case("neither", {}, "spec"),
    Case("both", {"endpoints": ["unix:///a"], "nodes": [NODE]}, "spec"),
    Case("no nodes", {"nodes": []}, "spec.nodes"),
    Case("an engine that is open to everybody", {"endpoints": ["tcp://10.0.0.1:2375"]}, "spec.tls", crd_refused="spec"),
    Case("a node that is open to everybody", {"nodes": [NODE | {"endpoint": "tcp://10.0.0.1:2375"}]}, "spec.tls",
         crd_refused="spec"),
    Case("another scheme", {"endpoints": ["http://a:1"]}, "spec.endpoints.0"),
    Case("a host that is an option of ssh", {"endpoints": ["ssh://-oProxyCommand=x"]}, "spec.endpoints.0"),
    Case("a password in a URL", {"endpoints": ["ssh://me:pw@a"]}, "spec.endpoints.0"),
    Case("managers of what is not ours", {"endpoints": ["unix:///a"], "managers": 3}, "spec.managers", crd_refused="spec"),
    Case("tokens of what is not ours", {"endpoints": ["unix:///a"], "tokenRotation": "x"}, "spec.tokenRotation",
         crd_refused="spec"),
    Case("older tokens of what is not ours", {"endpoints": ["unix:///a"], "tokenRotationPeriodSeconds": 60},
         "spec.tokenRotationPeriodSeconds", crd_refused="spec"),
    Case("a name twice", {"nodes": [NODE, SECOND | {"name": "a"}]}, "spec.nodes", crd_refused="spec"),
    Case("an address twice", {"nodes": [NODE, SECOND | {"address": "10.0.0.1"}]}, "spec.nodes", crd_refused="spec"),
    Case("more managers than nodes may be one", {"nodes": [NODE, SECOND | {"role": "Worker"}], "managers": 2}, "spec.managers",
         crd_refused="spec"),
    Case("only workers", {"nodes": [NODE | {"role": "Worker"}]}, "spec.managers", crd_refused="spec"),
    Case("a role of Swarm's own spelling", {"nodes": [NODE | {"role": "manager"}]}, "spec.nodes.0.role"),
    Case("an address by name", {"nodes": [NODE | {"address": "node1"}]}, "spec.nodes.0.address"),
    Case("Machines", {"nodes": [ON_MACHINE, NODE], "tls": TLS}),
    Case("a Machine over SSH", {"nodes": [ON_MACHINE | {"engine": {"protocol": "ssh", "user": "ops", "port": 22}}]}),
    Case("a Machine that is open to everybody", {"nodes": [ON_MACHINE]}, "spec.tls", crd_refused="spec"),
    Case("a Machine and an endpoint", {"nodes": [ON_MACHINE | NODE], "tls": TLS}, "spec.nodes.0"),
    Case("an endpoint without an address", {"nodes": [{"name": "a", "endpoint": "unix:///a"}]}, "spec.nodes.0"),
    Case("a Machine twice", {"nodes": [ON_MACHINE, ON_MACHINE | {"name": "n"}], "tls": TLS}, "spec.nodes", crd_refused="spec"),
    Case("how an endpoint's engine is reached", {"nodes": [NODE | {"engine": {"port": 1}}]}, "spec.nodes.0.engine",
         crd_refused="spec.nodes.0"),
    Case("a user over TCP", {"nodes": [ON_MACHINE | {"engine": {"user": "ops"}}], "tls": TLS}, "spec.nodes.0.engine.user",
         crd_refused="spec.nodes.0.engine"),
    Case("another kind of Swarm later", {"nodes": [NODE]}, "spec.nodes", old={"endpoints": ["unix:///a"]}, crd_refused="spec"),
    Case("another node later", {"nodes": [NODE, SECOND]}, old={"nodes": [NODE]}),
)  # fmt: skip

EXPERIMENTS = (
    Case("the least", EXPERIMENT),
    Case("candidates by themselves", EXPERIMENT | {"candidates": "auto"}),
    Case("named candidates", tuned(parameterType="int", feasibleSpace={"min": "10", "max": 100})),
    Case("a goal", EXPERIMENT | {"objective": OBJECTIVE | {"goal": 1}}),
    Case("no objective", {"datasetRef": {"name": "a"}, "clusterRef": {"name": "b"}}, "spec"),
    Case("an unknown algorithm", EXPERIMENT | {"algorithm": {"algorithmName": "cmaes"}}, "spec.algorithm.algorithmName"),
    Case("settings that nobody honours", EXPERIMENT | {"algorithm": {"algorithmName": "tpe", "algorithmSettings": []}},
         "spec.algorithm.algorithmSettings"),
    Case("features to select from none", EXPERIMENT | {"features": {"selection": {"method": "none", "maxFeatures": 3}}},
         "spec.features.selection.maxFeatures", crd_refused="spec.features.selection"),
    Case("a negative seed", EXPERIMENT | {"seed": -1}, "spec.seed"),
    Case("no trials", EXPERIMENT | {"maxTrialCount": 0}, "spec.maxTrialCount"),
)  # fmt: skip
"""What both sides can judge. What stands under `candidates` the model alone judges: see CANDIDATES."""

FIRST = "spec.candidates.0.parameters.0"


def space(kind: str, **given: Any) -> dict[str, Any]:
    return tuned(parameterType=kind, feasibleSpace=given)


CANDIDATES = (
    Case("no candidates", EXPERIMENT | {"candidates": []}, "spec.candidates"),
    Case("another word than auto", EXPERIMENT | {"candidates": "all"}, "spec.candidates"),
    Case("an import path", EXPERIMENT | {"candidates": [{"name": "x", "estimator": "os.system"}]}, "spec.candidates.0.estimator"),
    Case("a name twice", EXPERIMENT | {"candidates": [TUNED, TUNED]}, "spec.candidates"),
    Case("an int without limits", space("int", list=[1]), FIRST),
    Case("a category with limits", space("categorical", min=1, max=2), FIRST),
    Case("a span upside down", space("double", min=2, max=1), FIRST),
    Case("a log of zero", space("double", min=0, max=1, distribution="logUniform"), FIRST),
    Case("a number that is none", space("int", min="ten", max=20), f"{FIRST}.feasibleSpace.min"),
    Case("a grid without a step", space("double", min=0, max=1) | {"algorithm": {"algorithmName": "grid"}}, "spec.candidates"),
)  # fmt: skip

MODEL_VERSIONS = (
    Case("by its digest", {"digest": DIGEST}),
    Case("brought", {"uri": "model.onnx", "modelFormat": "onnx", "signatureUri": "signature.json"}),
    Case("neither", {}, "spec"),
    Case("both", {"digest": DIGEST, "uri": "a"}, "spec"),
    Case("a pickle", {"uri": "a.pkl", "modelFormat": "pickle"}, "spec.modelFormat"),
    Case("a digest with a format", {"digest": DIGEST, "modelFormat": "onnx"}, "spec.digest", crd_refused="spec"),
    Case("another model", {"digest": OTHER}, "spec.digest", old={"digest": DIGEST}, crd_refused="spec"),
    Case("the same model", {"digest": DIGEST}, old={"digest": DIGEST}),
)

SWARM = {"clusterRef": {"name": "s"}, "image": "registry:5000/serving@" + DIGEST}
ON_SWARM = {"swarm": SWARM, "predictor": {"model": MODEL}}
MODEL_DEPLOYMENTS = (
    Case("the least", SERVED),
    Case("a given model", {"local": {"port": 8080}, "predictor": {"model": {"modelVersionRef": {"name": "a"}}}}),
    Case("no provider", {"predictor": {"model": MODEL}}, "spec"),
    Case("no model", {"local": {}, "predictor": {"model": {}}}, "spec.predictor.model"),
    Case("two models", {"local": {}, "predictor": {"model": MODEL | {"modelVersionRef": {"name": "a"}}}}, "spec.predictor.model"),
    Case("a broker's password inline", SERVED | {"broker": {"credentialsRef": {"env": "A"}, "url": "amqp://a:b@c"}},
         "spec.broker.url"),
    Case("a promotion of a kind there is not",
         {"local": {}, "predictor": {"model": {"fromExperiment": {"name": "a", "promotion": "Maybe"}}}},
         "spec.predictor.model.fromExperiment.promotion"),
    Case("a canary that local does not honour", SERVED | {"strategy": {"canary": {}}}, "spec.strategy"),
    Case("a port out of range", {"local": {"port": 70000}, "predictor": {"model": MODEL}}, "spec.local.port"),
    Case("on a Swarm", ON_SWARM),
    Case("two providers", ON_SWARM | {"local": {}}, "spec"),
    Case("a broker by URL where the provider brings one", ON_SWARM | {"broker": {"credentialsRef": {"env": "A"}}}, "spec"),
    Case("an image that is not pinned", ON_SWARM | {"swarm": SWARM | {"image": "registry/serving:1"}}, "spec.swarm.image"),
    Case("two brokers", ON_SWARM | {"swarm": SWARM | {"broker": {"replicas": 2}}}, "spec.swarm.broker.replicas",
         crd_refused="spec.swarm.broker"),
    Case("one broker becomes three", ON_SWARM | {"swarm": SWARM | {"broker": {"replicas": 3}}}, "spec.swarm.broker.replicas",
         old=ON_SWARM | {"swarm": SWARM | {"broker": {}}}, crd_refused="spec.swarm.broker"),
    Case("an own broker gives way to another", ON_SWARM | {"swarm": SWARM | {"broker": {"credentialsRef": {"env": "A"}}}},
         "spec.swarm.broker", old=ON_SWARM | {"swarm": SWARM | {"broker": {}}}),
    Case("another store gives way to an own one", ON_SWARM | {"swarm": SWARM | {"store": {}}}, "spec.swarm.store",
         old=ON_SWARM | {"swarm": SWARM | {"store": {"credentialsRef": {"env": "A"}}}}),
    Case("another broker gets another Secret", ON_SWARM | {"swarm": SWARM | {"broker": {"credentialsRef": {"env": "B"}}}},
         old=ON_SWARM | {"swarm": SWARM | {"broker": {"credentialsRef": {"env": "A"}}}}),
    Case("models from a bucket", ON_SWARM | {"swarm": SWARM | {"models": {"credentialsRef": {"env": "A"}}}}),
    Case("models by two ways", ON_SWARM | {"swarm": SWARM | {"models": {"credentialsRef": {"env": "A"}, "registry": "http://a"}}},
         "spec.swarm.models.credentialsRef", crd_refused="spec.swarm.models"),
    Case("a strategy of a kind there is not", ON_SWARM | {"swarm": SWARM | {"strategy": {"type": "canary"}}},
         "spec.swarm.strategy.type"),
    Case("a share of nothing", ON_SWARM | {"swarm": SWARM | {"strategy": {"steps": [0]}}}, "spec.swarm.strategy.steps.0"),
    Case("a constraint that says nothing", ON_SWARM | {"swarm": SWARM | {"constraints": ["here"]}}, "spec.swarm.constraints.0"),
)  # fmt: skip


def amounts() -> dict[str, Any]:
    """Anew each time: the campaign changes one of them."""
    return {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}


FULL: dict[str, list[dict[str, Any]]] = {
    "Dataset": [
        {"uri": "https://a/b.csv", "format": "csv", "target": "y", "refreshIntervalSeconds": 60,
         "schema": {"fields": [{"name": "x", "type": "number", "constraints": {
             "required": True, "unique": True, "minimum": 0.5, "maximum": 1.5, "enum": ["a"], "maxNullShare": 0.5}}],
             "extraFields": "Deny"},
         "checks": {"minRows": 1, "maxNullShare": 0.5, "uniqueRows": True}, "allowedHosts": ["a"], "maxBytes": 1,
         "credentialsRef": {"secretKeyRef": {"name": "a", "key": "b"}}},
        {"uri": "https://a", "credentialsRef": {"file": "a"}}, {"uri": "https://a", "credentialsRef": {"env": "a"}},
        {"uri": "a", "digest": DIGEST},
    ],
    "RayCluster": [
        {"local": {"numCpus": 1, "memory": "1Gi", "objectStoreMemory": "1Gi"}, "suspend": True},
        {"address": "a:1", "tokenFile": "a"},
    ],
    "SwarmCluster": [
        {"nodes": [NODE | {"role": "Manager", "availability": "Drain", "labels": {"disk": "ssd"}}, SECOND], "managers": 1,
         "tls": TLS, "publish": "Ingress", "tokenRotation": "x", "tokenRotationPeriodSeconds": 60, "managerReplacementSeconds": 5,
         "networks": [{"name": "a"}], "registry": {"image": "registry:2", "port": 5001, "node": "a"}},
        {"endpoints": ["tcp://10.0.0.1:2376"], "tls": TLS},
        {"nodes": [ON_MACHINE | {"engine": {"protocol": "ssh", "port": 22, "user": "ops"}}]},
    ],
    "Experiment": [
        EXPERIMENT | {
            "task": "regression", "seed": 1, "candidates": "auto",
            "objective": OBJECTIVE | {"goal": 0.5, "additionalMetricNames": ["a"]},
            "features": {"exclude": ["x"], "highCardinality": 5, "selection": {"method": "fTest", "maxFeatures": 3}},
            "screening": {"keepTop": 1, "timeoutSeconds": 1, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
            "algorithm": {"algorithmName": "random"}, "earlyStopping": {"algorithmName": "none"},
            "parallelTrialCount": 1, "maxTrialCount": 1, "maxFailedTrialCount": 1, "trialTimeoutSeconds": 1,
            "evaluation": {"folds": 3, "heldOutShare": 0.1}, "backoffLimit": 1, "modelHistoryLimit": 1},
    ],
    "ModelVersion": [{"digest": DIGEST}, {"uri": "a", "modelFormat": "onnx", "signatureUri": "b"}],
    "ModelDeployment": [
        {"local": {"host": "127.0.0.1", "port": 80},
         "predictor": {"minReplicas": 1, "timeout": 5, "resources": {"limits": {"memory": "4Gi"}},
                       "model": {"fromExperiment": {"name": "a", "minImprovement": 0.5, "promotion": "Manual"}}},
         "web": {"workers": 1, "threads": 8}, "broker": {"credentialsRef": {"secretKeyRef": {"name": "a", "key": "b"}}},
         "limits": {"maxRows": 1, "maxBytes": 2048, "requestsPerSecond": 5, "resultTtlSeconds": 60},
         "progressDeadlineSeconds": 60, "revisionHistoryLimit": 5, "rollout": {"paused": True, "revision": 1, "promote": DIGEST}},
        {"local": {}, "predictor": {"model": {"modelVersionRef": {"name": "a"}}}, "broker": {"credentialsRef": {"file": "a"}}},
        {"local": {}, "predictor": {"model": MODEL}, "broker": {"credentialsRef": {"env": "a"}}},
        {"predictor": {"model": MODEL}, "swarm": SWARM | {
            "constraints": ["node.labels.a == b"], "web": {"replicas": 1, "resources": amounts()},
            "workers": {"resources": amounts()},
            "broker": {"image": "a", "resources": amounts(), "replicas": 3, "user": 1,
                       "credentialsRef": {"secretKeyRef": {"name": "a", "key": "b"}}},
            "store": {"image": "a", "resources": amounts(), "user": 1,
                      "credentialsRef": {"secretKeyRef": {"name": "a", "key": "b"}}},
            "models": {"registry": "http://a:5000"},
            "entry": {"image": "a", "port": 80, "resources": amounts()},
            "strategy": {"type": "rolling", "steps": [1], "stepSeconds": 1, "bakeSeconds": 1,
                         "analysis": {"minRequests": 1, "maxErrorRatio": 0.5, "maxLatencyMs": 5, "maxLatencyRatio": 2.5}},
            "logDriver": {"name": "a", "options": {"a": "b"}}}},
        *({"predictor": {"model": MODEL}, "swarm": SWARM | {name: {"credentialsRef": {how: "a"}}}}
          for name in ("broker", "store", "models") for how in ("file", "env")),
        {"predictor": {"model": MODEL}, "swarm": SWARM | {
            "models": {"credentialsRef": {"secretKeyRef": {"name": "a", "key": "b"}}}}},
    ],
}  # fmt: skip
"""By kind: specs that together hold every field."""
