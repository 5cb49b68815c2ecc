{{/* Of the chart's own values what values.schema.json cannot refuse, or not in words that help: (list found .). */}}
{{- define "network-lb.validateChart" -}}
{{- $found := index . 0 -}}
{{- $top := index . 1 -}}
{{- with $top -}}
{{- include "network-lb.metricsAddress" (list $found "controller" 17470 17471 .Values.controller.metrics_address) -}}
{{- include "network-lb.metricsAddress" (list $found "speaker" 17472 17473 .Values.speaker.metrics_address) -}}
{{- if include "network-lb.loopback" .Values.controller.metrics_address -}}
  {{- include "network-lb.mistake" (list $found "controller.metrics_address" (printf "%q is on the loopback of the Pod, where nobody can ask whether it is ready: write :17470" .Values.controller.metrics_address)) -}}
{{- end -}}
{{- if include "network-lb.loopback" .Values.speaker.metrics_address -}}
  {{- range $monitor := list "pod_monitor" "service_monitor" -}}
    {{- if (index $top.Values $monitor).enabled -}}
      {{- include "network-lb.mistake" (list $found "speaker.metrics_address" (printf "%q is on the loopback, which the %s cannot reach: write :17472, or %s.enabled: false" $top.Values.speaker.metrics_address $monitor $monitor)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- with .Values.membership -}}
  {{- $port := get . "port" | default 17946 | int -}}
  {{- if or (eq $port 17473) (eq $port (include "network-lb.port" $top.Values.speaker.metrics_address | atoi)) -}}
    {{- include "network-lb.mistake" (list $found "membership.port" (printf "%d is the port of the speaker's /metrics or /status: write another one, such as 17946" $port)) -}}
  {{- end -}}
{{- end -}}
{{- range $i, $toleration := .Values.controller.tolerations -}}
  {{- include "network-lb.spellings" (list $found (printf "controller.tolerations[%d]" $i) $toleration (list "toleration_seconds")) -}}
{{- end -}}
{{- $created := dict (printf "%s-guard" (include "network-lb.fullname" .)) "the guard" -}}
{{- range $component := list "controller" "speaker" -}}
  {{- $path := printf "%s.service_account.name" $component -}}
  {{- $account := (index $top.Values $component).service_account -}}
  {{- $name := include "network-lb.serviceAccount" (list $top $component) -}}
  {{- if $account.create -}}
    {{- with get $created $name -}}
      {{- include "network-lb.mistake" (list $found $path (printf "%q is created for %s too: write another name, or create: false" $name .)) -}}
    {{- end -}}
    {{- $_ := set $created $name (printf "the %s" $component) -}}
  {{- else if not $account.name -}}
    {{- include "network-lb.mistake" (list $found $path "is needed with create: false: write the name of the ServiceAccount that is there") -}}
  {{- end -}}
  {{- include "network-lb.freeLabels" (list $found (printf "%s.pod_labels" $component) (index $top.Values $component).pod_labels) -}}
{{- end -}}
{{- include "network-lb.freeLabels" (list $found "common_labels" .Values.common_labels) -}}
{{- include "network-lb.freeLabels" (list $found "pod_monitor.labels" .Values.pod_monitor.labels) -}}
{{- include "network-lb.freeLabels" (list $found "service_monitor.labels" .Values.service_monitor.labels) -}}
{{- range $key := keys (.Values.common_annotations | default dict) | sortAlpha -}}
  {{- if hasPrefix "helm.sh/" $key -}}
    {{- include "network-lb.mistake" (list $found "common_annotations" (printf "%s would tell Helm what to do with every object: leave it out" $key)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses what is not an address to listen on: (list found component port-by-default port-of-status address). */}}
{{- define "network-lb.metricsAddress" -}}
{{- $path := printf "%s.metrics_address" (index . 1) -}}
{{- $address := index . 4 -}}
{{- $port := include "network-lb.port" $address | atoi -}}
{{- if not (regexMatch "^(|0[.]0[.]0[.]0|127[.]0[.]0[.]1|\\[::1?\\]):[1-9][0-9]{0,4}$" $address) -}}
  {{- include "network-lb.mistake" (list (index . 0) $path (printf "%q is no address to listen on: write :%d, or another port after the colon" $address (index . 2))) -}}
{{- else if or (gt $port 65535) (eq $port (index . 3)) -}}
  {{- include "network-lb.mistake" (list (index . 0) $path (printf "%q is not possible: ports end at 65535, and %d is that of /status" $address (index . 3))) -}}
{{- end -}}
{{- end }}

{{/* Refuses the labels that the chart sets itself: (list found path labels). */}}
{{- define "network-lb.freeLabels" -}}
{{- $found := index . 0 -}}
{{- $path := index . 1 -}}
{{- range $key := keys (index . 2 | default dict) | sortAlpha -}}
  {{- if has $key (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart") -}}
    {{- include "network-lb.mistake" (list $found $path (printf "%s is the chart's own: use another key" $key)) -}}
  {{- end -}}
{{- end -}}
{{- end }}
