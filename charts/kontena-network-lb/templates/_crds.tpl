{{/* The name of the CustomResourceDefinition of a resource. */}}
{{- define "network-lb.crd" -}}
{{ . }}.network-lb.kontena.io
{{- end }}

{{/*
Who has the CustomResourceDefinition if it is in the cluster and Helm would refuse to take it for a part of this release:
it stays at uninstall, so another release may have left it. Empty: it is ours, or there is none, or Helm does not ask the
cluster, as in `helm template`.
*/}}
{{- define "network-lb.foreignCRD" -}}
{{- $top := index . 0 -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (include "network-lb.crd" (index . 1)) -}}
  {{- $manager := get (.metadata.labels | default dict) "app.kubernetes.io/managed-by" -}}
  {{- $name := get (.metadata.annotations | default dict) "meta.helm.sh/release-name" -}}
  {{- $namespace := get (.metadata.annotations | default dict) "meta.helm.sh/release-namespace" -}}
  {{- if not (and (eq $manager "Helm") $name $namespace) -}}
    no release of Helm
  {{- else if or (ne $name $top.Release.Name) (ne $namespace $top.Release.Namespace) -}}
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
  quarantine:
    description: Quarantine are the addresses that are given to nobody for a while, because another machine has them.
    type: array
    items:
      description: Quarantined is an address that another machine was found to have.
      type: object
      required: [address, mac, node, until]
      properties:
        address:
          description: Address that it has.
          type: string
        mac:
          description: MAC is the other machine's Ethernet address.
          type: string
        node:
          description: Node whose speaker has found it.
          type: string
        until:
          description: Until then it is given to nobody.
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
  unassignable:
    description: Unassignable are the Services with an address that would not be assigned anew, because it is a gateway's, say. They keep it. The first 100.
    type: array
    items:
      description: Unassignable is an address that a Service should not have.
      type: object
      required: [service, address, why]
      properties:
        service:
          description: Service that has it, as namespace/name.
          type: string
        address:
          description: Address that it has.
          type: string
        why:
          description: Why it should not have it, being what the address is.
          type: string
{{- end }}

{{/* Listed in kube/reports, as properties. */}}
{{- define "network-lb.listed" -}}
addresses:
  description: The addresses as ranges. A range may span addresses that no Service has.
  type: array
  items:
    description: A CIDR, a range or a single address.
    type: string
unlisted:
  description: How many addresses after the last of the ranges had no place.
  type: integer
{{- end }}

{{/* The schema of SpeakerStatus in kube/reports. */}}
{{- define "network-lb.speakerStatus" -}}
description: SpeakerStatus says what a node announces.
type: object
required: [generation, layer2, notAnnounced, written]
properties:
  installation:
    description: "Installation is that of the speaker, as NAMESPACE/SECRET: speakers of several on one node share its report."
    type: string
  bootID:
    description: BootID is the kernel's name for the boot that the rest is about.
    type: string
  generation:
    description: Generation of the configuration that is in force on the node.
    type: integer
    format: int64
  problem:
    description: Problem with the configuration, or with carrying it out.
    type: string
  drain:
    description: Drain is how far the node is emptied; absent where nobody wants that.
    type: object
    required: [state, since]
    properties:
      state:
        description: State is Waiting (for other nodes to be drained), Draining or Drained.
        type: string
      since:
        description: Since when it is so.
        type: string
        format: date-time
      reason:
        description: Reason says what it waits for.
        type: string
  bgp:
    description: BGP is absent where the node has neither a peer nor an address to announce by BGP.
    type: object
    required: [sessions, routes, announced]
    properties:
      sessions:
        description: Sessions are those Established and those configured, as "1/2".
        type: string
      routes:
        description: Routes are those sent and those wanted, of all sessions together, as "20/24".
        type: string
      announced:
        description: Announced counts the addresses that at least one peer is told of.
        type: integer
      {{- include "network-lb.listed" . | nindent 6 }}
      peers:
        description: Peers are the node's BGP sessions.
        type: array
        items:
          description: Session is a BGP session of the node.
          type: object
          required: [peer, state]
          properties:
            peer:
              description: Peer is the router's name in the configuration.
              type: string
            address:
              description: Address of the router; empty for one that is found on an interface.
              type: string
            state:
              description: State is Established or Down.
              type: string
            since:
              description: Since when it is so; empty for a session that was never Established.
              type: string
              format: date-time
            reason:
              description: Reason why it is down or, of one that is Established, why the one before it was lost.
              type: string
            bfd:
              description: BFD is the state of the peer's BFD session; empty where it has none.
              type: string
            {{- range $family := list "IPv4" "IPv6" }}
            {{ lower $family }}:
              description: The {{ $family }} routes, counted.
              type: object
              required: [wanted, sent]
              properties:
                wanted:
                  description: Wanted is how many the peer is to have.
                  type: integer
                sent:
                  description: Sent is how many were advertised in the present session.
                  type: integer
                withheld:
                  description: Withheld says why some are not sent though the session is Established.
                  type: string
            {{- end }}
  layer2:
    description: Layer2 is what the node answers for by ARP and NDP.
    type: object
    required: [owned]
    properties:
      owned:
        description: Owned counts the addresses.
        type: integer
      {{- include "network-lb.listed" . | nindent 6 }}
      kernelAnswers:
        description: KernelAnswers are those of them that the node's kernel answers for too, whoever owns them, because they are on a device of the node.
        type: object
        required: [count]
        properties:
          count:
            description: Count of the addresses.
            type: integer
          {{- include "network-lb.listed" . | nindent 10 }}
      membership:
        description: Membership is how the node's speaker gets on with the others, which tell each other what they hold; absent where it does not take part.
        type: object
        required: [speakers]
        properties:
          speakers:
            description: Speakers counts those that are expected, this one too.
            type: integer
          problem:
            description: Problem says why this one may not answer, or what is wrong with its keys.
            type: string
          troubles:
            description: Troubles are with others; the first 100, by their nodes' names.
            type: array
            items:
              description: Trouble is what is wrong between the node's speaker and another one.
              type: object
              properties:
                node:
                  description: Node of the other one; empty where nobody knows whose the machine is that answers.
                  type: string
                presence:
                  description: Presence is Alive or Lost, or Missing for one that was never met.
                  type: string
                problem:
                  description: Problem in words.
                  type: string
                answers:
                  description: Answers are the addresses that this node would take, did the other one not answer for them still.
                  type: object
                  required: [count]
                  properties:
                    count:
                      description: Count of the addresses.
                      type: integer
                    {{- include "network-lb.listed" . | nindent 20 }}
  conflicts:
    description: Conflicts are the addresses that another machine answers for too; the first 100.
    type: array
    items:
      description: Conflict is an address of ours that another machine answers for.
      type: object
      required: [address, mac, time]
      properties:
        address:
          description: Address that both have.
          type: string
        mac:
          description: MAC is the other machine's Ethernet address.
          type: string
        interface:
          description: Interface of the node that it was seen on.
          type: string
        speaker:
          description: "Speaker is the node whose MAC it is, if it is a fellow speaker's: both answer, and one of them is to stop."
          type: string
        probe:
          description: Probe says that the machine answered when it was asked for the address, before that was first announced.
          type: boolean
        time:
          description: Time when it was seen first.
          type: string
          format: date-time
  notAnnounced:
    description: NotAnnounced counts what the node does not announce. What is not there because another node owns it is not counted.
    type: object
    required: [count]
    properties:
      count:
        description: Count of the addresses.
        type: integer
      reasons:
        description: Reasons are why, each with its count.
        type: array
        items:
          description: Reason counts the addresses that are not announced for a reason.
          type: object
          required: [reason, count]
          properties:
            reason:
              description: Reason in one word.
              type: string
            protocol:
              description: Protocol is layer2 or bgp; empty where the address is in no pool.
              type: string
            count:
              description: Count of the addresses.
              type: integer
            services:
              description: Services are the first of those that have them; of all reasons together 100 at most.
              type: array
              items:
                description: A Service as namespace/name.
                type: string
            {{- include "network-lb.listed" . | nindent 12 }}
  subnets:
    description: Subnets that the node is in; their network and broadcast addresses are never assigned.
    type: array
    items:
      description: A CIDR.
      type: string
  gateways:
    description: Gateways are those of the node's default routes; they are never assigned.
    type: array
    items:
      description: An address.
      type: string
  written:
    description: Written is when the rest was last found to be another.
    type: string
    format: date-time
{{- end }}
