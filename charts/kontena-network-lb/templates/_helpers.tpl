{{- define "network-lb.fullname" -}}
{{ .Release.Name }}
{{- end }}

{{- define "network-lb.configmap" -}}
{{ include "network-lb.fullname" . }}-config
{{- end }}

{{- define "network-lb.lease" -}}
{{ include "network-lb.fullname" . }}-controller
{{- end }}

{{- define "network-lb.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What selects the pods of one component: (list . "speaker"). These never change for a release. */}}
{{- define "network-lb.selectorLabels" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ $top.Chart.Name }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The labels of an object of one component. */}}
{{- define "network-lb.labels" -}}
{{- $top := index . 0 -}}
{{ include "network-lb.selectorLabels" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Kubelet's questions, on the port called http. */}}
{{- define "network-lb.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: http}
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
