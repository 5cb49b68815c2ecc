{{/* The configuration document, as the programs read it: the values' part of it without a password. */}}
{{- define "network-lb.document" -}}
{{- $document := pick .Values "schema_version" "enabled" "node_selector" "tolerations" "load_balancer_class" "address_pools" "peers" "bfd_profiles" "bgp_communities" "membership" "failure_detection" "exclude_interfaces" "gratuitous_rate" "drain" "restart_grace" "release" -}}
{{- with .Values.peers -}}
  {{- $split := dict "top" $ "peers" list "passwords" dict -}}
  {{- include "network-lb.splitPeers" $split -}}
  {{- $_ := set $document "peers" $split.peers -}}
{{- end -}}
{{- toYaml $document -}}
{{- end }}

{{/*
Fills the peers of the document and the passwords of the Secret: (dict "top" . "peers" list "passwords" dict). A
password's key in the Secret is the peer's address as far as the key of a Secret may have its characters; further peers
of one address have -2, -3 and so on after it.
*/}}
{{- define "network-lb.splitPeers" -}}
{{- $split := . -}}
{{- range $peer := .top.Values.peers -}}
  {{- if get $peer "password" -}}
    {{- $address := coalesce (get $peer "peer_address") (get $peer "peer-address") (get $peer "peerAddress") (get $peer "interface") -}}
    {{- $base := regexReplaceAll "[^-._a-zA-Z0-9]" $address "-" -}}
    {{- $key := $base -}}
    {{- range $n := untilStep 2 (add 2 (len $split.passwords) | int) 1 -}}
      {{- if hasKey $split.passwords $key -}}{{- $key = printf "%s-%d" $base $n -}}{{- end -}}
    {{- end -}}
    {{- $_ := set $split.passwords $key (get $peer "password") -}}
    {{- $reference := dict "name" (include "network-lb.passwords" $split.top) "key" $key -}}
    {{- $peer = set (omit $peer "password") "password_secret" $reference -}}
  {{- end -}}
  {{- $_ := set $split "peers" (append $split.peers $peer) -}}
{{- end -}}
{{- end }}

{{/*
The Secrets that a speaker reads, as a list in JSON: the accepted document, the key of the membership, and where the
peers' passwords are.
*/}}
{{- define "network-lb.speakerSecrets" -}}
{{- $names := list (include "network-lb.lastGood" .) (include "network-lb.membership" .) (include "network-lb.passwords" .) -}}
{{- range $peer := .Values.peers -}}
  {{- range $spelling := list "password_secret" "password-secret" "passwordSecret" -}}
    {{- with get $peer $spelling -}}{{- $names = append $names .name -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end }}

{{/* "true" if a pool aggregates, so that speakers install unreachable routes. */}}
{{- define "network-lb.aggregates" -}}
{{- range $pool := .Values.address_pools -}}
  {{- range $key := list "bgp_advertisements" "bgp-advertisements" "bgpAdvertisements" -}}
    {{- range $advertisement := get $pool $key | default list -}}
      {{- range $spelling := list "aggregation_length" "aggregation-length" "aggregationLength" -}}
        {{- if lt (get $advertisement $spelling | default 32 | int) 32 -}}true{{- end -}}
      {{- end -}}
      {{- range $spelling := list "aggregation_length_v6" "aggregation-length-v6" "aggregationLengthV6" -}}
        {{- if lt (get $advertisement $spelling | default 128 | int) 128 -}}true{{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}
