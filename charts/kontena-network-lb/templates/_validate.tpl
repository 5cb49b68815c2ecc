{{/*
What values.schema.json cannot refuse, or not in words that help: all mistakes in one message, each with
path, value and what would be right.
*/}}
{{- define "network-lb.validate" -}}
{{- $found := dict "mistakes" list "names" dict "bgp" "" -}}
{{- if not .Values.address_pools -}}
  {{- include "network-lb.mistake" (list $found "address_pools" "[] has no pool: at least one is needed, such as [{name: default, protocol: layer2, addresses: [10.20.0.0/24]}]") -}}
{{- end -}}
{{- include "network-lb.times" (list $found "" .Values (list "restart_grace") "30s") -}}
{{- range $i, $toleration := .Values.tolerations -}}
  {{- include "network-lb.spellings" (list $found (printf "tolerations[%d]" $i) $toleration (list "toleration_seconds")) -}}
{{- end -}}
{{- range $i, $pool := .Values.address_pools -}}
  {{- $path := printf "address_pools[%d]" $i -}}
  {{- include "network-lb.spellings" (list $found $path $pool (list "auto_assign" "avoid_buggy_ips" "sticky_ttl" "max_per_namespace" "namespace_selectors" "service_selectors" "node_selectors" "bgp_advertisements")) -}}
  {{- range $key := list "namespace_selectors" "namespace-selectors" "namespaceSelectors" "service_selectors" "service-selectors" "serviceSelectors" "node_selectors" "node-selectors" "nodeSelectors" -}}
    {{- include "network-lb.selectors" (list $found (printf "%s.%s" $path $key) (index $pool $key)) -}}
  {{- end -}}
  {{- range $key := list "sticky_ttl" "sticky-ttl" "stickyTtl" "stickyTTL" "cooldown" -}}
    {{- $span := get $pool $key -}}
    {{- if and $span (not (kindIs "string" $span)) -}}
      {{- include "network-lb.mistake" (list $found (printf "%s.%s" $path $key) (printf "%d has no unit: write a number with a unit, such as 90s, 10m or 24h, or 0" (int64 $span))) -}}
    {{- end -}}
  {{- end -}}
  {{- with get $found.names $pool.name -}}
    {{- include "network-lb.mistake" (list $found (printf "%s.name" $path) (printf "%q is the name of %s too: give each pool a name of its own" $pool.name .)) -}}
  {{- end -}}
  {{- $_ := set $found.names $pool.name $path -}}
  {{- $protocols := $pool.protocol -}}
  {{- if kindIs "string" $protocols -}}{{- $protocols = list $protocols -}}{{- end -}}
  {{- if and (has "bgp" $protocols) (not $.Values.peers) -}}
    {{- include "network-lb.mistake" (list $found (printf "%s.protocol" $path) "bgp needs peers and there are none: add at least one, such as peers: [{peer_address: 10.0.0.1, peer_asn: 64501, my_asn: 64500}]") -}}
  {{- end -}}
  {{- range $key := list "bgp_advertisements" "bgp-advertisements" "bgpAdvertisements" -}}
    {{- range $j, $advertisement := get $pool $key | default list -}}
      {{- include "network-lb.advertisement" (list $found (printf "%s.%s[%d]" $path $key $j) $advertisement) -}}
    {{- end -}}
  {{- end -}}
  {{- range $j, $reservation := $pool.reservations -}}
    {{- if not $reservation.address -}}
      {{- include "network-lb.mistake" (list $found (printf "%s.reservations[%d].address" $path $j) `"" is not an IP address: write one of this pool, such as 10.20.0.5`) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $i, $peer := .Values.peers -}}
  {{- $path := printf "peers[%d]" $i -}}
  {{- include "network-lb.spellings" (list $found $path $peer (list "peer_address" "peer_asn" "my_asn" "node_selectors" "password_secret" "peer_port" "source_address" "router_id" "hold_time" "keepalive_time" "connect_time" "ebgp_multihop" "ttl_security" "graceful_restart" "max_received_routes" "bfd_profile")) -}}
  {{- include "network-lb.times" (list $found $path $peer (list "hold_time" "hold-time" "holdTime" "keepalive_time" "keepalive-time" "keepaliveTime" "connect_time" "connect-time" "connectTime") "30s") -}}
  {{- if and (hasKey $peer "ebgp_multihop") (hasKey $peer "ebgpMultiHop") -}}
    {{- include "network-lb.mistake" (list $found $path "ebgp_multihop and ebgpMultiHop are spellings of one key: keep only ebgp_multihop") -}}
  {{- end -}}
  {{- range $spelling := list "graceful_restart" "graceful-restart" "gracefulRestart" -}}
    {{- with get $peer $spelling -}}
      {{- include "network-lb.spellings" (list $found (printf "%s.%s" $path $spelling) . (list "restart_time")) -}}
      {{- include "network-lb.times" (list $found (printf "%s.%s" $path $spelling) . (list "restart_time" "restart-time" "restartTime") "30s") -}}
    {{- end -}}
  {{- end -}}
  {{- include "network-lb.password" (list $found $path $peer) -}}
  {{- range $key := list "peer_address" "peer-address" "peerAddress" -}}
    {{- if and (hasKey $peer $key) (not (index $peer $key)) -}}
      {{- include "network-lb.mistake" (list $found (printf "%s.%s" $path $key) `"" is not an IP address: write the router's, such as 10.0.0.1`) -}}
    {{- end -}}
  {{- end -}}
  {{- range $key := list "node_selectors" "node-selectors" "nodeSelectors" -}}
    {{- include "network-lb.selectors" (list $found (printf "%s.%s" $path $key) (index $peer $key)) -}}
  {{- end -}}
{{- end -}}
{{- range $i, $profile := .Values.bfd_profiles -}}
  {{- $path := printf "bfd_profiles[%d]" $i -}}
  {{- include "network-lb.spellings" (list $found $path $profile (list "receive_interval" "transmit_interval" "detect_multiplier" "minimum_ttl" "passive_mode")) -}}
  {{- include "network-lb.times" (list $found $path $profile (list "receive_interval" "receive-interval" "receiveInterval" "transmit_interval" "transmit-interval" "transmitInterval") "300ms") -}}
{{- end -}}
{{- include "network-lb.times" (list $found "drain" (.Values.drain | default dict) (list "period" "timeout") "30s") -}}
{{- include "network-lb.validateChart" (list $found .) -}}
{{- if $found.mistakes -}}
  {{- fail (printf "\n\nThe values of %s do not make a configuration:\n  %s\n" .Chart.Name (join "\n  " $found.mistakes)) -}}
{{- end -}}
{{- end }}

{{/* Adds one mistake: (list found path sentence). */}}
{{- define "network-lb.mistake" -}}
{{- $found := index . 0 -}}
{{- $_ := set $found "mistakes" (append $found.mistakes (printf "%s: %s" (index . 1) (index . 2))) -}}
{{- end }}

{{/*
Refuses what is wrong with a peer's password: (list found path peer). No message shows a part of it, so what looks
like a key with its value is refused here too, which the schema would quote: password:secret, without the blank.
*/}}
{{- define "network-lb.password" -}}
{{- $found := index . 0 -}}
{{- $path := index . 1 -}}
{{- $peer := index . 2 -}}
{{- with get $peer "password" -}}
  {{- if gt (len .) 80 -}}
    {{- include "network-lb.mistake" (list $found (printf "%s.password" $path) (printf "has %d bytes, and TCP MD5 takes 80: write a shorter one" (len .))) -}}
  {{- end -}}
  {{- range $spelling := list "password_secret" "password-secret" "passwordSecret" -}}
    {{- if get $peer $spelling -}}
      {{- include "network-lb.mistake" (list $found (printf "%s.%s" $path $spelling) "cannot be given together with password: keep one of them") -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if get $peer "interface" -}}
  {{- range $key := list "password" "password_secret" "password-secret" "passwordSecret" -}}
    {{- if get $peer $key -}}
      {{- include "network-lb.mistake" (list $found (printf "%s.%s" $path $key) "is not possible with interface, whose session is between link-local addresses: leave it out") -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $key := keys $peer | sortAlpha -}}
  {{- with regexFind "^[^:=\\s]*[:=\\s]" $key -}}
    {{- include "network-lb.mistake" (list $found (printf "%s.%s..." $path .) "is not a key of a peer: write a colon and a blank after the key") -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses what is wrong with an advertisement: (list found path advertisement). */}}
{{- define "network-lb.advertisement" -}}
{{- $found := index . 0 -}}
{{- $path := index . 1 -}}
{{- $advertisement := index . 2 -}}
{{- include "network-lb.spellings" (list $found $path $advertisement (list "aggregation_length" "aggregation_length_v6" "local_pref" "node_selectors" "service_selectors" "max_nodes" "spread_by")) -}}
{{- include "network-lb.spread" (list $found $path $advertisement) -}}
{{- range $key := list "local_pref" "local-pref" "localPref" -}}
  {{- if and (hasKey $advertisement "localpref") (hasKey $advertisement $key) -}}
    {{- include "network-lb.mistake" (list $found $path (printf "localpref and %s are spellings of one key: keep only localpref" $key)) -}}
  {{- end -}}
{{- end -}}
{{- range $key := list "node_selectors" "node-selectors" "nodeSelectors" "service_selectors" "service-selectors" "serviceSelectors" -}}
  {{- include "network-lb.selectors" (list $found (printf "%s.%s" $path $key) (index $advertisement $key)) -}}
{{- end -}}
{{- end }}

{{/* Refuses what spreads nodes that are not limited: (list found path advertisement). */}}
{{- define "network-lb.spread" -}}
{{- $found := index . 0 -}}
{{- $path := index . 1 -}}
{{- $advertisement := index . 2 -}}
{{- range $key := list "spread_by" "spread-by" "spreadBy" -}}
  {{- with get $advertisement $key -}}
    {{- if not (coalesce (get $advertisement "max_nodes") (get $advertisement "max-nodes") (get $advertisement "maxNodes")) -}}
      {{- include "network-lb.mistake" (list $found (printf "%s.%s" $path $key) (printf "%q spreads the nodes of max_nodes, and there is none: add max_nodes, or leave it out" .)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses time spans without a unit: (list found path element keys example). */}}
{{- define "network-lb.times" -}}
{{- $found := index . 0 -}}
{{- $path := index . 1 -}}
{{- $element := index . 2 -}}
{{- $example := index . 4 -}}
{{- range $key := index . 3 -}}
  {{- $span := get $element $key -}}
  {{- if and (hasKey $element $key) (not (kindIs "invalid" $span)) (not (kindIs "string" $span)) -}}
    {{- include "network-lb.mistake" (list $found (trimPrefix "." (printf "%s.%s" $path $key)) (printf "%v is not a time span: write a number with a unit, such as %s" $span $example)) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses two spellings of one key in the selectors of a list: (list found path selectors). */}}
{{- define "network-lb.selectors" -}}
{{- $found := index . 0 -}}
{{- $path := index . 1 -}}
{{- range $i, $selector := index . 2 -}}
  {{- include "network-lb.spellings" (list $found (printf "%s[%d]" $path $i) $selector (list "match_labels" "match_expressions")) -}}
{{- end -}}
{{- end }}

{{/* Refuses two spellings of one key: (list found path element keys). */}}
{{- define "network-lb.spellings" -}}
{{- $found := index . 0 -}}
{{- $path := index . 1 -}}
{{- $element := index . 2 -}}
{{- range $key := index . 3 -}}
  {{- $camel := $key | camelcase | untitle -}}
  {{- $used := list -}}
  {{- range $spelling := uniq (list $key (replace "_" "-" $key) $camel (replace "Asn" "ASN" $camel) (replace "Ips" "IPs" $camel) (replace "Ttl" "TTL" $camel)) -}}
    {{- if hasKey $element $spelling -}}{{- $used = append $used $spelling -}}{{- end -}}
  {{- end -}}
  {{- if gt (len $used) 1 -}}
    {{- include "network-lb.mistake" (list $found $path (printf "%s are spellings of one key: keep only %s" (join " and " $used) $key)) -}}
  {{- end -}}
{{- end -}}
{{- end }}
