{{/* The ServiceAccount that the server runs as. */}}
{{- define "canary.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default "canary-webhook" -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object of the release. */}}
{{- define "canary.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{/*
The objects of files/<file>.yaml, as `items`: what kustomize installs (manifests/base), for the release's
namespace and account and with its labels. The templates change what values say, and nothing else.
*/}}
{{- define "canary.objects" -}}
{{- $root := .root -}}
{{- $account := printf "system:serviceaccount:%s:%s" $root.Release.Namespace (include "canary.account" $root) -}}
{{- $text := $root.Files.Get (printf "files/%s.yaml" .file) -}}
{{- $text = $text | replace "system:serviceaccount:canary-system:canary-webhook" "ACCOUNT" -}}
{{- $text = $text | replace "canary-system" $root.Release.Namespace | replace "ACCOUNT" $account -}}
{{- $items := list -}}
{{- range regexSplit "(?m)^---$" $text -1 -}}
{{- $object := fromYaml . -}}
{{- if $object -}}
{{- $labels := include "canary.labels" $root | fromYaml -}}
{{- $_ := set $object.metadata "labels" (mergeOverwrite $labels ($object.metadata.labels | default dict)) -}}
{{- $items = append $items $object -}}
{{- end -}}
{{- end -}}
{{- dict "items" $items | toYaml -}}
{{- end -}}

{{/* Flags that differ from the server's defaults, as `args`. */}}
{{- define "canary.args" -}}
{{- $args := list -}}
{{- if ne .Values.logLevel "info" -}}
{{- $args = append $args (printf "--log-level=%s" (.Values.logLevel | replace "warning" "warn")) -}}
{{- end -}}
{{- with .Values.meshProvider -}}
{{- $args = append $args (printf "--mesh-provider=%s" .) -}}
{{- end -}}
{{- if .Values.prometheus.install -}}
{{- $args = append $args (printf "--metrics-server=http://%s-prometheus.%s:9090" .Release.Name .Release.Namespace) -}}
{{- else if ne .Values.metricsServer "http://prometheus:9090" -}}
{{- $args = append $args (printf "--metrics-server=%s" .Values.metricsServer) -}}
{{- end -}}
{{- with .Values.selectorLabels -}}
{{- $args = append $args (printf "--selector-labels=%s" .) -}}
{{- end -}}
{{- with .Values.includeLabelPrefix -}}
{{- $args = append $args (printf "--include-label-prefix=%s" .) -}}
{{- end -}}
{{- if not .Values.configTracking.enabled -}}
{{- $args = append $args "--enable-config-tracking=false" -}}
{{- end -}}
{{- if not .Values.policies.enabled -}}
{{- $args = append $args "--policies=off" -}}
{{- end -}}
{{- if ne .Values.otherServices "hold" -}}
{{- $args = append $args (printf "--other-services=%s" .Values.otherServices) -}}
{{- end -}}
{{- with .Values.eventWebhook -}}
{{- $args = append $args (printf "--event-webhook=%s" .) -}}
{{- end -}}
{{- with .Values.clusterName -}}
{{- $args = append $args (printf "--cluster-name=%s" .) -}}
{{- end -}}
{{- if not (has ((.Values.slack).user) (list nil "" "flagger")) -}}
{{- $args = append $args (printf "--slack-user=%s" .Values.slack.user) -}}
{{- end -}}
{{- with (.Values.slack).channel -}}
{{- $args = append $args (printf "--slack-channel=%s" .) -}}
{{- end -}}
{{- if ne (include "canary.account" .) "canary-webhook" -}}
{{- $args = append $args (printf "--own-user=system:serviceaccount:%s:%s" .Release.Namespace (include "canary.account" .)) -}}
{{- end -}}
{{- range (include "canary.idle" . | fromYaml).idle -}}
{{- with .flag -}}
{{- $args = append $args (printf "--%s=" .) -}}
{{- end -}}
{{- end -}}
{{- dict "args" (concat $args .Values.args) | toYaml -}}
{{- end -}}

{{/*
Values of Flagger's that were set and mean nothing here, as `idle`: said in NOTES.txt, and, where the server
knows the flag, in its log, which also those see who never read notes.
*/}}
{{- define "canary.idle" -}}
{{- $v := .Values -}}
{{- $idle := list -}}
{{- range list
  (list $v.threadiness "threadiness" "threadiness" "each Canary has a task of its own")
  (list $v.kubeconfigQPS "kubeconfigQPS" "kubeconfig-qps" "the server asks only when something changed")
  (list $v.kubeconfigBurst "kubeconfigBurst" "kubeconfig-burst" "the server asks only when something changed")
  (list $v.ingressClass "ingressClass" "ingress-class" "the contour provider is not supported yet")
  (list $v.ingressAnnotationsPrefix "ingressAnnotationsPrefix" "ingress-annotations-prefix" "the nginx provider is not supported yet")
  (list ($v.rbac).pspEnabled "rbac.pspEnabled" "" "Kubernetes has no PodSecurityPolicies any more; the pods pass Pod Security restricted")
  (list ($v.prometheus).securityContext "prometheus.securityContext" "" "its pod always passes Pod Security restricted")
  (list (and (hasKey $v.leaderElection "enabled") (not $v.leaderElection.enabled)) "leaderElection.enabled=false" "" "the Lease is always used")
-}}
{{- if index . 0 -}}
{{- $idle = append $idle (dict "value" (index . 1) "flag" (index . 2) "why" (index . 3)) -}}
{{- end -}}
{{- end -}}
{{- dict "idle" $idle | toYaml -}}
{{- end -}}

{{/* What the server is told of receivers of alerts by its environment, as `data`: addresses are secrets. */}}
{{- define "canary.alerts" -}}
{{- $slack := .Values.slack | default dict -}}
{{- $teams := .Values.msteams | default dict -}}
{{- $data := dict -}}
{{- range list
  (list "SLACK_URL" $slack.url)
  (list "SLACK_TOKEN" $slack.token)
  (list "SLACK_PROXY_URL" ($slack.proxyUrl | default $slack.proxy))
  (list "MSTEAMS_URL" $teams.url)
  (list "MSTEAMS_PROXY_URL" $teams.proxyUrl)
-}}
{{- if index . 1 -}}
{{- $_ := set $data (index . 0) (index . 1) -}}
{{- end -}}
{{- end -}}
{{- dict "data" $data | toYaml -}}
{{- end -}}

{{/* Ends the rendering for values of Flagger's whose silent loss would be unsafe. */}}
{{- define "canary.refuse" -}}
{{- if or .Values.nameOverride .Values.fullnameOverride -}}
{{- fail "nameOverride and fullnameOverride: the server finds its configurations, Lease and Secret by the name canary-webhook; leave them out" -}}
{{- end -}}
{{- if .Values.noCrossNamespaceRefs -}}
{{- fail "noCrossNamespaceRefs: set namespace instead, and the server has no rights in other ones" -}}
{{- end -}}
{{- if ((.Values.controlplane).kubeconfig).secretName -}}
{{- fail "controlplane.kubeconfig.secretName: routes are in the cluster of the Canary; install into that cluster" -}}
{{- end -}}
{{- if (.Values.linkerdAuthPolicy).create -}}
{{- fail "linkerdAuthPolicy.create: the linkerd provider is not supported yet; leave it out" -}}
{{- end -}}
{{- end -}}
