{{- define "network-lb.fullname" -}}
{{ .Release.Name }}
{{- end }}

{{- define "network-lb.configmap" -}}
{{ include "network-lb.fullname" . }}-config
{{- end }}

{{- define "network-lb.lastGood" -}}
{{ include "network-lb.fullname" . }}-last-good
{{- end }}

{{- define "network-lb.membership" -}}
{{ include "network-lb.fullname" . }}-membership
{{- end }}

{{- define "network-lb.passwords" -}}
{{ include "network-lb.fullname" . }}-peers
{{- end }}

{{- define "network-lb.lease" -}}
{{ include "network-lb.fullname" . }}-controller
{{- end }}

{{/* The names of the Leases that nodes drain by, as a list in JSON: one for each that may at a time. */}}
{{- define "network-lb.drainSlots" -}}
{{- $names := list -}}
{{- range $i := until (get (.Values.drain | default dict) "max_draining" | default 1 | int) -}}
  {{- $names = append $names (printf "%s-drain-%d" (include "network-lb.fullname" $) $i) -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}

{{- define "network-lb.controllerRole" -}}
{{ include "network-lb.fullname" . }}-controller
{{- end }}

{{/* The name of a component's ServiceAccount, ours or the user's: (list . "speaker"). */}}
{{- define "network-lb.serviceAccount" -}}
{{- $top := index . 0 -}}
{{ (index $top.Values (index . 1)).service_account.name | default (printf "%s-%s" (include "network-lb.fullname" $top) (index . 1)) }}
{{- end }}

{{- define "network-lb.image" -}}
{{- with .Values.image.digest -}}
{{ $.Values.image.repository }}@{{ . }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What selects the pods of one component: (list . "speaker"). These never change for a release. */}}
{{- define "network-lb.selectorLabels" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ $top.Chart.Name }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/*
The metadata of an object: (dict "top" . "component" "speaker" "name" "lb-speaker" "cluster" true "labels" (dict)
"annotations" (dict)). Without a name it is RELEASE-COMPONENT; cluster, labels and annotations may be left out.
*/}}
{{- define "network-lb.metadata" -}}
{{- $top := .top -}}
metadata:
  name: {{ .name | default (printf "%s-%s" (include "network-lb.fullname" $top) .component) }}
  {{- if not .cluster }}
  namespace: {{ $top.Release.Namespace }}
  {{- end }}
  labels:
    {{- include "network-lb.selectorLabels" (list $top .component) | nindent 4 }}
    app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
    app.kubernetes.io/managed-by: {{ $top.Release.Service }}
    helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
    {{- with merge (dict) (.labels | default dict) ($top.Values.common_labels | default dict) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) (.annotations | default dict) ($top.Values.common_annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The metadata of a component's Pods: (list . "speaker" (dict)), with the component's own values. */}}
{{- define "network-lb.podMetadata" -}}
{{- $top := index . 0 -}}
{{- $own := index . 2 -}}
metadata:
  labels:
    {{- include "network-lb.selectorLabels" . | nindent 4 }}
    {{- with merge (dict) ($own.pod_labels | default dict) ($top.Values.common_labels | default dict) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) ($own.pod_annotations | default dict) ($top.Values.common_annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The labels of all nodes that a Pod may run on, whatever the user's node_selector. */}}
{{- define "network-lb.nodeSelector" -}}
{{- merge (dict) (. | default dict) (dict "kubernetes.io/os" "linux") | toYaml -}}
{{- end }}

{{/* The port of a metrics_address. */}}
{{- define "network-lb.port" -}}
{{ regexFind "[0-9]+$" . }}
{{- end }}

{{/* The host that a metrics_address is reached at when it is on the loopback, else nothing. */}}
{{- define "network-lb.loopback" -}}
{{ regexFind "^(127[.]0[.]0[.]1|\\[::1\\]):" . | trimSuffix ":" | trimAll "[]" }}
{{- end }}

{{/* Kubelet's questions, on the port called http of a metrics_address. */}}
{{- define "network-lb.probes" -}}
{{- $host := include "network-lb.loopback" . -}}
livenessProbe:
  httpGet: {path: /healthz, port: http{{ with $host }}, host: {{ quote . }}{{ end }}}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: http{{ with $host }}, host: {{ quote . }}{{ end }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* The tolerations as Kubernetes spells them, whatever the user's spelling. */}}
{{- define "network-lb.tolerations" -}}
{{- $all := list -}}
{{- range $given := . -}}
  {{- $one := omit $given "toleration_seconds" "toleration-seconds" -}}
  {{- range $spelling := list "toleration_seconds" "toleration-seconds" -}}
    {{- if hasKey $given $spelling -}}
      {{- $_ := set $one "tolerationSeconds" (index $given $spelling) -}}
    {{- end -}}
  {{- end -}}
  {{- $all = append $all $one -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{/* What the guard does: enforce, warn, or nothing when it is off. YAML reads a bare off as false. */}}
{{- define "network-lb.guard" -}}
{{- if and .Values.enabled (not (has (toString .Values.guard) (list "off" "false"))) -}}
{{ .Values.guard }}
{{- end -}}
{{- end }}
