{{- define "network-lb.crd" -}}
addresspools.network-lb.kontena.io
{{- end }}

{{/*
Who has the CustomResourceDefinition if it is in the cluster and Helm would refuse to take it for a part of this release:
it stays at uninstall, so another release may have left it. Empty: it is ours, or there is none, or Helm does not ask the
cluster, as in `helm template`.
*/}}
{{- define "network-lb.foreignCRD" -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (include "network-lb.crd" .) -}}
  {{- $manager := get (.metadata.labels | default dict) "app.kubernetes.io/managed-by" -}}
  {{- $name := get (.metadata.annotations | default dict) "meta.helm.sh/release-name" -}}
  {{- $namespace := get (.metadata.annotations | default dict) "meta.helm.sh/release-namespace" -}}
  {{- if not (and (eq $manager "Helm") $name $namespace) -}}
    no release of Helm
  {{- else if or (ne $name $.Release.Name) (ne $namespace $.Release.Namespace) -}}
    the release {{ $name }} in namespace {{ $namespace }}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* The schema of AddressPoolStatus in kube/reports. */}}
{{- define "network-lb.poolStatus" -}}
description: AddressPoolStatus says what became of a pool.
type: object
required: [protocol, generation, pending]
properties:
  protocol:
    description: Protocol is layer2, bgp, or "layer2, bgp".
    type: string
  generation:
    description: Generation of the configuration that the rest is about.
    type: integer
    format: int64
  {{- range $family := list "IPv4" "IPv6" }}
  {{ lower $family }}:
    description: The {{ $family }} addresses that the pool has, counted. Size and Free are whole numbers of any length.
    type: object
    required: [size, inUse, reserved, free]
    properties:
      size:
        description: Size is how many addresses the pool may assign.
        type: string
      inUse:
        description: InUse is how many Services have, also those that would not be assigned anew.
        type: integer
      reserved:
        description: Reserved is how many are kept for a Service that does not have them.
        type: integer
      free:
        description: Free is how many can be given to anybody.
        type: string
  {{- end }}
  pending:
    description: Pending counts the Services that wait for an address, and for this pool as far as it is known.
    type: integer
  remembered:
    description: Remembered are the released addresses that go back to the Service that had them, or to others last.
    type: array
    items:
      description: Release is an address that was released.
      type: object
      required: [address, time]
      properties:
        service:
          description: "Service that had it, as namespace/name; empty: it goes to nobody in particular."
          type: string
        address:
          description: Address that was released.
          type: string
        time:
          description: Time of the release.
          type: string
          format: date-time
  refused:
    description: Refused are the Services that a document which was refused would take an address of this pool from; the first 100.
    type: array
    items:
      description: Loss is an address that a Service would lose.
      type: object
      required: [service, address, why]
      properties:
        service:
          description: Service that has it, as namespace/name.
          type: string
        address:
          description: Address that it would lose.
          type: string
        why:
          description: Why it would lose it.
          type: string
{{- end }}
