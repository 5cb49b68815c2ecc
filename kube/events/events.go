// Package events posts Kubernetes Events about the objects that people look at.
package events

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// maxMessage is the API server's limit for the message of an Event, in bytes.
const maxMessage = 1024

// Poster posts Events under one component's name.
type Poster struct {
	client    kubernetes.Interface
	component string
	instance  string
}

// NewPoster returns a Poster; instance tells apart the processes of one component, such as a Pod's name.
func NewPoster(client kubernetes.Interface, component, instance string) *Poster {
	return &Poster{client: client, component: component, instance: instance}
}

// Post posts one Event about an object. Each call is one Event: callers post on transitions only.
func (p *Poster) Post(ctx context.Context, about corev1.ObjectReference, eventType, reason, message string) error {
	now := metav1.NewTime(time.Now())
	namespace := about.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	e := &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{GenerateName: about.Name + ".", Namespace: namespace},
		InvolvedObject:      about,
		Type:                eventType,
		Reason:              reason,
		Message:             shorten(message),
		Source:              corev1.EventSource{Component: p.component},
		ReportingController: p.component,
		ReportingInstance:   p.instance,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
	}
	if _, err := p.client.CoreV1().Events(namespace).Create(ctx, e, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("posting event %s about %s %s: %w", reason, about.Kind, about.Name, err)
	}
	return nil
}

// shorten cuts what is longer than an Event may be, between two characters.
func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	end := maxMessage - len("…")
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + "…"
}
