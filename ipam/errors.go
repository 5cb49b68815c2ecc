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
	// Pool is the one that the request names, or has an address of; "": it names none, and no pool serves such requests.
	Pool string
	Why  Refusal // why there is no such pool for this owner
}

// Refusal is why a pool does not serve an owner.
type Refusal uint8

const (
	// NoSuchPool means that there is none: none of that name, or none that is not Manual.
	NoSuchPool Refusal = iota
	// PoolDisabled means that the pool serves nobody new.
	PoolDisabled
	// NotSelected means that the pool's Selector does not match.
	NotSelected
)

func (e *NoMatchingPoolError) Error() string {
	switch {
	case e.Pool == "" && e.Why == NoSuchPool:
		return "no pool assigns addresses automatically"
	case e.Pool == "":
		return "no pool that assigns addresses automatically serves this owner"
	case e.Why == PoolDisabled:
		return fmt.Sprintf("pool %q is disabled", e.Pool)
	case e.Why == NotSelected:
		return fmt.Sprintf("pool %q does not serve this owner: its selector does not match", e.Pool)
	default:
		return fmt.Sprintf("there is no pool %q", e.Pool)
	}
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
	Never   bool   // the address is in Pool, but is never assigned: excluded, say, or a node's own
}

func (e *AddressNotInPoolError) Error() string {
	if e.Never {
		return fmt.Sprintf("%s is never assigned from pool %q", e.Address, e.Pool)
	}
	if e.Pool == "" {
		return fmt.Sprintf("%s is in no pool", e.Address)
	}
	return fmt.Sprintf("%s is not in pool %q", e.Address, e.Pool)
}

// AddressReservedError says that the requested address is kept for another owner, or that the pool grants requests only
// for reserved addresses.
type AddressReservedError struct {
	Address netip.Addr
	Pool    string
	For     Owner // "": it is not reserved
}

func (e *AddressReservedError) Error() string {
	if e.For == "" {
		return fmt.Sprintf("%s is not reserved for this owner, and pool %q grants requests for reserved addresses only", e.Address, e.Pool)
	}
	return fmt.Sprintf("%s is reserved for %s", e.Address, e.For)
}

// SharingConflictError says that the address belongs to an owner with the same sharing key, with whom it cannot be
// shared all the same.
type SharingConflictError struct {
	Address netip.Addr
	Pool    string
	Holder  Owner
	Problem string // a sentence
}

func (e *SharingConflictError) Error() string {
	return fmt.Sprintf("%s cannot be shared with %s: %s", e.Address, e.Holder, e.Problem)
}

// QuotaExceededError says that the owners of the namespace have as many addresses of the pool as they may.
type QuotaExceededError struct {
	Pool      string
	Namespace string
	Max       int
}

func (e *QuotaExceededError) Error() string {
	return fmt.Sprintf("namespace %q has reached its limit of %d addresses of pool %q", e.Namespace, e.Max, e.Pool)
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
	AddressReserved   = "AddressReserved"
	SharingConflict   = "SharingConflict"
	QuotaExceeded     = "QuotaExceeded"
	FamilyUnavailable = "FamilyUnavailable"
	InvalidRequest    = "InvalidRequest"
)

func (e *PoolExhaustedError) reason() string     { return PoolExhausted }
func (e *NoMatchingPoolError) reason() string    { return NoMatchingPool }
func (e *AddressInUseError) reason() string      { return AddressInUse }
func (e *AddressNotInPoolError) reason() string  { return AddressNotInPool }
func (e *AddressReservedError) reason() string   { return AddressReserved }
func (e *SharingConflictError) reason() string   { return SharingConflict }
func (e *QuotaExceededError) reason() string     { return QuotaExceeded }
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

// PoolsOf returns the pools that an error of this package speaks of; nil for any other error, and where it speaks of
// none.
func PoolsOf(err error) []string {
	var e interface {
		error
		pools() []string
	}
	if !errors.As(err, &e) {
		return nil
	}
	return e.pools()
}

func (e *PoolExhaustedError) pools() []string     { return e.Pools }
func (e *FamilyUnavailableError) pools() []string { return e.Pools }
func (e *NoMatchingPoolError) pools() []string    { return onePool(e.Pool) }
func (e *AddressInUseError) pools() []string      { return onePool(e.Pool) }
func (e *AddressNotInPoolError) pools() []string  { return onePool(e.Pool) }
func (e *AddressReservedError) pools() []string   { return onePool(e.Pool) }
func (e *SharingConflictError) pools() []string   { return onePool(e.Pool) }
func (e *QuotaExceededError) pools() []string     { return onePool(e.Pool) }

func onePool(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
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
