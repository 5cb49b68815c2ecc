package reports

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Speakers is the resource of Speaker.
var Speakers = schema.GroupVersionResource{Group: Group, Version: Version, Resource: "speakers"}

// Speaker reports on one node, whose name it has, and with which it goes. The node's speaker writes it.
type Speaker struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Status            SpeakerStatus `json:"status"`
}

// SpeakerStatus says what a node announces.
type SpeakerStatus struct {
	// Installation is that of the speaker, as NAMESPACE/SECRET: speakers of several on one node share its report.
	Installation string `json:"installation,omitempty"`
	// BootID is the kernel's name for the boot that the rest is about (proc(5), boot_id).
	BootID string `json:"bootID,omitempty"`
	// Generation of the configuration that is in force on the node, and Problem with it or with carrying it out.
	Generation int64  `json:"generation"`
	Problem    string `json:"problem,omitempty"`
	// Drain is how far the node is emptied; absent where nobody wants that.
	Drain *Drain `json:"drain,omitempty"`
	// BGP is absent where the node has neither a peer nor an address to announce by BGP.
	BGP    *BGP   `json:"bgp,omitempty"`
	Layer2 Layer2 `json:"layer2"`
	// Conflicts are the addresses that another machine answers for too; the first 100.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// NotAnnounced counts what the node does not announce. What is not there because another node owns it is not counted.
	NotAnnounced NotAnnounced `json:"notAnnounced"`
	// Subnets that the node is in and Gateways, those of its default routes: their addresses are never assigned.
	Subnets  []string `json:"subnets,omitempty"`
	Gateways []string `json:"gateways,omitempty"`
	// Written is when the rest was last found to be another.
	Written metav1.MicroTime `json:"written"`
}

// DrainState is what has become of a drain.
type DrainState string

// The states of a drain.
const (
	DrainWaiting DrainState = "Waiting"  // for other nodes to be drained; everything is announced as ever
	Draining     DrainState = "Draining" // others are to take over
	Drained      DrainState = "Drained"  // nothing is announced any more
)

// Drain says how far a node is emptied.
type Drain struct {
	State DrainState       `json:"state"`
	Since metav1.MicroTime `json:"since"`
	// Reason says what it waits for.
	Reason string `json:"reason,omitempty"`
}

// BGP is what a node announces by BGP.
type BGP struct {
	// Sessions are those Established and those configured, as "1/2".
	Sessions string `json:"sessions"`
	// Routes are those sent and those wanted, of all sessions together, as "20/24".
	Routes string `json:"routes"`
	// Announced counts the addresses that at least one peer is told of.
	Announced int `json:"announced"`
	Listed    `json:",inline"`
	Peers     []Session `json:"peers,omitempty"`
}

// Layer2 is what a node answers for by ARP and NDP.
type Layer2 struct {
	// Owned counts the addresses.
	Owned  int `json:"owned"`
	Listed `json:",inline"`
	// KernelAnswers are those of them that the node's kernel answers for too, whoever owns them: they are on a device of
	// the node (KernelAnswersARP).
	KernelAnswers *Counted `json:"kernelAnswers,omitempty"`
	// Membership is how the node's speaker gets on with the others; absent where it does not take part.
	Membership *Membership `json:"membership,omitempty"`
}

// Membership is how a speaker gets on with the others, which tell each other what they hold.
type Membership struct {
	// Speakers counts those that are expected, this one too.
	Speakers int `json:"speakers"`
	// Problem says why this one may not answer, or what is wrong with its keys.
	Problem string `json:"problem,omitempty"`
	// Troubles are with others; the first 100, by their nodes' names.
	Troubles []Trouble `json:"troubles,omitempty"`
}

// Trouble is what is wrong between a node's speaker and another one.
type Trouble struct {
	// Node of the other one; empty where nobody knows whose the machine is that Answers.
	Node string `json:"node,omitempty"`
	// Presence is Alive or Lost, or Missing for one that was never met; empty without Node.
	Presence string `json:"presence,omitempty"`
	Problem  string `json:"problem,omitempty"`
	// Answers are the addresses that this node would take, did the other one not answer for them still.
	Answers *Counted `json:"answers,omitempty"`
}

// Counted are addresses.
type Counted struct {
	Count  int `json:"count"`
	Listed `json:",inline"`
}

// Listed are addresses as ranges, and how many after the last of these had no place. See List.
type Listed struct {
	Addresses []string `json:"addresses,omitempty"`
	Unlisted  int      `json:"unlisted,omitempty"`
}

// Session is a BGP session of a node.
type Session struct {
	Peer string `json:"peer"`
	// Address of the router; empty for one that is found on an interface.
	Address string `json:"address,omitempty"`
	// State is Established or Down, Since when, and Reason why it is down or, of one that is Established, why the one
	// before it was lost.
	State  string            `json:"state"`
	Since  *metav1.MicroTime `json:"since,omitempty"`
	Reason string            `json:"reason,omitempty"`
	// BFD is the state of the peer's BFD session; empty where it has none.
	BFD  string  `json:"bfd,omitempty"`
	IPv4 *Routes `json:"ipv4,omitempty"`
	IPv6 *Routes `json:"ipv6,omitempty"`
}

// Routes counts the routes of a family, and says why some are not sent.
type Routes struct {
	Wanted   int    `json:"wanted"`
	Sent     int    `json:"sent"`
	Withheld string `json:"withheld,omitempty"`
}

// Conflict is an address of ours that another machine answers for.
type Conflict struct {
	Address   string `json:"address"`
	MAC       string `json:"mac"`
	Interface string `json:"interface,omitempty"`
	// Speaker is the node whose MAC it is, if it is a fellow speaker's: both answer, and one of them is to stop.
	Speaker string `json:"speaker,omitempty"`
	// Probe says that the machine answered when it was asked for the address, before that was first announced.
	Probe bool             `json:"probe,omitempty"`
	Time  metav1.MicroTime `json:"time"`
}

// NotAnnounced is what a node does not announce, by reason.
type NotAnnounced struct {
	Count   int      `json:"count"`
	Reasons []Reason `json:"reasons,omitempty"`
}

// Reason counts the addresses that are not announced for a reason.
type Reason struct {
	Reason string `json:"reason"`
	// Protocol is layer2 or bgp; empty where the address is in no pool.
	Protocol string `json:"protocol,omitempty"`
	Count    int    `json:"count"`
	// Services are the first of those that have them; of all reasons together 100 at most.
	Services []string `json:"services,omitempty"`
	Listed   `json:",inline"`
}

// Installation names one by the Secret in a namespace that it has the accepted configuration in.
func Installation(namespace, lastGood string) string { return namespace + "/" + lastGood }

// Unstructured returns the object as a dynamic client takes it.
func (s Speaker) Unstructured() (*unstructured.Unstructured, error) {
	s.TypeMeta = metav1.TypeMeta{APIVersion: Speakers.GroupVersion().String(), Kind: "Speaker"}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&s)
	if err != nil {
		return nil, fmt.Errorf("converting Speaker %s: %w", s.Name, err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// ToSpeaker reads what a dynamic client gives.
func ToSpeaker(u *unstructured.Unstructured) (Speaker, error) {
	var s Speaker
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &s); err != nil {
		return Speaker{}, fmt.Errorf("reading Speaker %s: %w", u.GetName(), err)
	}
	return s, nil
}
