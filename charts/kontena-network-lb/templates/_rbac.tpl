{{/*
A component's ServiceAccount, and the bindings to it of the ClusterRole and the Role that have the component's name:
(dict "top" . "component" "speaker" "account" NAME "create" true "annotations" (dict) "extra" (dict)), with
"annotations" on all three and "extra" on the ServiceAccount only.
*/}}
{{- define "network-lb.account" -}}
{{- $top := .top -}}
{{- $annotations := .annotations | default dict -}}
{{- if .create -}}
apiVersion: v1
kind: ServiceAccount
{{ include "network-lb.metadata" (dict "top" $top "component" .component "name" .account "annotations" (merge (dict) $annotations (.extra | default dict))) }}
# The Pods that need a token say so.
automountServiceAccountToken: false
---
{{ end -}}
{{- range $kind := list "ClusterRole" "Role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
{{ include "network-lb.metadata" (dict "top" $top "component" $.component "cluster" (eq $kind "ClusterRole") "annotations" $annotations) }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ printf "%s-%s" (include "network-lb.fullname" $top) $.component }}
subjects:
  - kind: ServiceAccount
    name: {{ $.account }}
    namespace: {{ $top.Release.Namespace }}
---
{{ end -}}
{{- end }}
