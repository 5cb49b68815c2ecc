// Package reports is what became of the configuration, as Kubernetes objects that a person can look at: they have a
// status and nothing else, and nobody but the product writes them. Their API is network-lb.kontena.io/v1alpha1.
package reports

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group and Version of the reports.
const (
	Group   = "network-lb.kontena.io"
	Version = "v1alpha1"
)

// AddressPools is the resource of AddressPool.
var AddressPools = schema.GroupVersionResource{Group: Group, Version: Version, Resource: "addresspools"}

// AddressPool reports on one pool of the configuration, whose name it has. The controller writes it.
type AddressPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Status            AddressPoolStatus `json:"status"`
}

// AddressPoolStatus says what became of a pool.
type AddressPoolStatus struct {
	// Protocol is layer2, bgp, or "layer2, bgp".
	Protocol string `json:"protocol"`
	// Generation of the configuration that the rest is about.
	Generation int64 `json:"generation"`
	// IPv4 and IPv6 count the addresses of each family that the pool has.
	IPv4 *Addresses `json:"ipv4,omitempty"`
	IPv6 *Addresses `json:"ipv6,omitempty"`
	// Pending counts the Services that wait for an address, and for this pool as far as it is known.
	Pending int `json:"pending"`
	// Remembered are the released addresses that go back to the Service that had them, or to others last.
	Remembered []Release `json:"remembered,omitempty"`
	// Quarantine are the addresses that are given to nobody for a while, because another machine has them.
	Quarantine []Quarantined `json:"quarantine,omitempty"`
	// Refused are the Services that a document which was refused would take an address of this pool from; the first 100.
	Refused []Loss `json:"refused,omitempty"`
	// Unassignable are the Services with an address that would not be assigned anew: a gateway's, say. They keep it. The
	// first 100.
	Unassignable []Unassignable `json:"unassignable,omitempty"`
}

// Addresses counts addresses. Size and Free are whole numbers of any length.
type Addresses struct {
	Size     string `json:"size"`
	InUse    int    `json:"inUse"`
	Reserved int    `json:"reserved"`
	Free     string `json:"free"`
}

// Release is an address that was released.
type Release struct {
	// Service that had it, as namespace/name; empty: it goes to nobody in particular.
	Service string           `json:"service,omitempty"`
	Address string           `json:"address"`
	Time    metav1.MicroTime `json:"time"`
}

// Quarantined is an address that another machine, with that MAC, was found to have by the speaker of a node.
type Quarantined struct {
	Address string           `json:"address"`
	MAC     string           `json:"mac"`
	Node    string           `json:"node"`
	Until   metav1.MicroTime `json:"until"`
}

// Loss is an address that a Service would lose.
type Loss struct {
	Service string `json:"service"`
	Address string `json:"address"`
	Why     string `json:"why"`
}

// Unassignable is an address that a Service should not have, and why: what the address is.
type Unassignable struct {
	Service string `json:"service"`
	Address string `json:"address"`
	Why     string `json:"why"`
}

// Unstructured returns the object as a dynamic client takes it.
func (p AddressPool) Unstructured() (*unstructured.Unstructured, error) {
	p.TypeMeta = metav1.TypeMeta{APIVersion: AddressPools.GroupVersion().String(), Kind: "AddressPool"}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&p)
	if err != nil {
		return nil, fmt.Errorf("converting AddressPool %s: %w", p.Name, err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// ToAddressPool reads what a dynamic client gives.
func ToAddressPool(u *unstructured.Unstructured) (AddressPool, error) {
	var p AddressPool
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
		return AddressPool{}, fmt.Errorf("reading AddressPool %s: %w", u.GetName(), err)
	}
	return p, nil
}
