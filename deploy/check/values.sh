#!/bin/sh
# The chart with every value switched, and values that it must refuse.
set -eu
chart=helm/stagewatch
template() { "$HELM" template stagewatch "$chart" --namespace stagewatch "$@"; }

everything=$(template --set prometheusOperator.enabled=true --set prometheusOperator.labels.release=kps --set googleManagedPrometheus.enabled=true \
    --set config.configMap=own --set persistence.storageClass=fast --set networkPolicy.metadataServer=true --set-json timeScale=0.5 \
    --set image.repository=registry.example/stagewatch@sha256:0000 --set alertmanager=http://alertmanager.monitoring.svc:9093 --set priorityClassName=high --set imagePullSecrets[0].name=pull)
for expected in 'kind: ServiceMonitor' 'kind: PodMonitoring' 'kind: Rules' 'kind: PrometheusRule' 'release: kps' 'storageClassName: fast' \
    'cidr: 169.254.169.254/32' '--time-scale=0.5' '--alertmanager=http://alertmanager.monitoring.svc:9093' 'cidr: 169.254.20.10/32' 'ephemeral-storage: 64Mi' 'image: registry.example/stagewatch@sha256:0000' 'name: own' 'priorityClassName: high'; do
    echo "$everything" | grep -qF -- "$expected" || { echo "error: the chart with everything switched lacks: $expected" >&2; exit 1; }
done
nothing=$(template --set persistence.enabled=false --set networkPolicy.enabled=false --set podDisruptionBudget.enabled=false)
for unexpected in PersistentVolumeClaim NetworkPolicy PodDisruptionBudget 'persistentVolumeClaim:' '--alertmanager' 'ephemeral-storage: 64Mi'; do
    ! echo "$nothing" | grep -qF -- "$unexpected" || { echo "error: $unexpected is there although it is switched off" >&2; exit 1; }
done
for bad in image.repositry=x networkPolicy.targetPorts[0]=70000 persistence.size=lots scrapeInterval=often timeScale=-1 alertmanager=nowhere secret.files.lower=x; do
    ! template --set "$bad" >/dev/null 2>&1 || { echo "error: the chart takes $bad" >&2; exit 1; }
done
echo "ok    values: everything on, everything off, 7 refused"
