package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrUnknownOwner is returned by Lookup for an owner that never asked, or was released.
var ErrUnknownOwner = errors.New("the owner is not known")

// PoolExhaustedError says that every pool that could serve the request is full.
type PoolExhaustedError struct {
	Pools    []string // in the order in which they were tried
	Families Families // what they should have had
}

func (e *PoolExhaustedError) Error() string {
	what := map[Families]string{
		SingleIPv4: "IPv4 address", SingleIPv6: "IPv6 address", RequireDual: "pair of IPv4 and IPv6 addresses",
	}[e.Families]
	if what == "" {
		what = "address"
	}
	return fmt.Sprintf("no free %s in %s", what, namePools(e.Pools))
}

// NoMatchingPoolError says that there is no pool for the request.
type NoMatchingPoolError struct {
	Pool string // the pool that the request names; "": it names none, and no pool serves such requests
}

func (e *NoMatchingPoolError) Error() string {
	if e.Pool == "" {
		return "no pool assigns addresses automatically"
	}
	return fmt.Sprintf("there is no pool %q", e.Pool)
}

// AddressInUseError says that the requested address belongs to another owner.
type AddressInUseError struct {
	Address netip.Addr
	Pool    string
	Holder  Owner
}

func (e *AddressInUseError) Error() string {
	return fmt.Sprintf("%s is in use by %s", e.Address, e.Holder)
}

// AddressNotInPoolError says that the address is in no pool, or not in the requested one.
type AddressNotInPoolError struct {
	Address netip.Addr
	Pool    string // the requested pool; "": the address is in none
}

func (e *AddressNotInPoolError) Error() string {
	if e.Pool == "" {
		return fmt.Sprintf("%s is in no pool", e.Address)
	}
	return fmt.Sprintf("%s is not in pool %q", e.Address, e.Pool)
}

// FamilyUnavailableError says that no pool that could serve the request has the families it needs.
type FamilyUnavailableError struct {
	Pools    []string
	Families Families // what the request needs
}

func (e *FamilyUnavailableError) Error() string {
	what := e.Families.String()
	if e.Families == RequireDual {
		what = "both IPv4 and IPv6"
	}
	if len(e.Pools) == 1 {
		return fmt.Sprintf("%s does not have %s addresses", namePools(e.Pools), what)
	}
	return fmt.Sprintf("none of %s has %s addresses", namePools(e.Pools), what)
}

// InvalidRequestError says that the request contradicts itself.
type InvalidRequestError struct{ Problem string }

func (e *InvalidRequestError) Error() string { return "the request is not valid: " + e.Problem }

// RequestChangedError says, in Change.Lost, that the owner now asks for something else.
type RequestChangedError struct{ Address netip.Addr }

func (e *RequestChangedError) Error() string {
	return fmt.Sprintf("%s is not what the owner asks for any more", e.Address)
}

// The words that Reason returns.
const (
	PoolExhausted     = "PoolExhausted"
	NoMatchingPool    = "NoMatchingPool"
	AddressInUse      = "AddressInUse"
	AddressNotInPool  = "AddressNotInPool"
	FamilyUnavailable = "FamilyUnavailable"
	InvalidRequest    = "InvalidRequest"
)

func (e *PoolExhaustedError) reason() string     { return PoolExhausted }
func (e *NoMatchingPoolError) reason() string    { return NoMatchingPool }
func (e *AddressInUseError) reason() string      { return AddressInUse }
func (e *AddressNotInPoolError) reason() string  { return AddressNotInPool }
func (e *FamilyUnavailableError) reason() string { return FamilyUnavailable }
func (e *InvalidRequestError) reason() string    { return InvalidRequest }

// Reason returns the one word for an error of this package that says why an owner waits, fit for a metric label or a
// condition: PoolExhausted and so on. It returns "" for any other error, and for nil.
func Reason(err error) string {
	var r interface {
		error
		reason() string
	}
	if errors.As(err, &r) {
		return r.reason()
	}
	return ""
}

// namePools names pools in a sentence, the first ten of them.
func namePools(names []string) string {
	if len(names) == 1 {
		return fmt.Sprintf("pool %q", names[0])
	}
	const most = 10
	quoted := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	text := "pools " + strings.Join(quoted, ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
