// Package lab brings up a real Kubernetes cluster on one Linux machine, without Docker and without touching
// the machine's own network: nodes, routers and clients are network namespaces, with real kubelets in the
// nodes, FRR and BIRD on the routers. End-to-end tests and the demo run on it.
package lab
