package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki is where the lab's keys and certificates lie.
type pki string

func (p pki) file(name string) string { return filepath.Join(string(p), name) }

// makePKI makes a certificate authority, the API server's certificate and the key that ServiceAccount tokens
// are signed with.
func makePKI(dir string) (pki, error) {
	p := pki(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return p, err
	}
	ca := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "kontena-network-lb-lab"},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	caKey, err := p.issue("ca", ca, nil, nil)
	if err != nil {
		return p, fmt.Errorf("making the certificate authority: %w", err)
	}
	control, err := HostNamed(Control)
	if err != nil {
		return p, err
	}
	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(apiServer4), net.ParseIP(apiServer6)},
	}
	for _, addr := range control.LANAddrs(Dual) {
		server.IPAddresses = append(server.IPAddresses, addr.AsSlice())
	}
	if _, err := p.issue("apiserver", server, ca, caKey); err != nil {
		return p, fmt.Errorf("making the API server's certificate: %w", err)
	}
	if _, err := p.key("serviceaccount"); err != nil {
		return p, fmt.Errorf("making the key of ServiceAccount tokens: %w", err)
	}
	return p, nil
}

// issue writes NAME.crt and NAME.key; without an issuer the certificate signs itself.
func (p pki) issue(name string, cert, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := p.key(name)
	if err != nil {
		return nil, err
	}
	if issuer == nil {
		issuer, issuerKey = cert, key
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	cert.SerialNumber = serial
	cert.NotBefore = time.Now().Add(-time.Hour)
	cert.NotAfter = time.Now().AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, cert, issuer, key.Public(), issuerKey)
	if err != nil {
		return nil, err
	}
	return key, p.write(name+".crt", "CERTIFICATE", der)
}

// key writes NAME.key and, for those who only check signatures, NAME.pub.
func (p pki) key(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	if err := p.write(name+".key", "PRIVATE KEY", private); err != nil {
		return nil, err
	}
	return key, p.write(name+".pub", "PUBLIC KEY", public)
}

func (p pki) write(name, kind string, der []byte) error {
	return os.WriteFile(p.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
