package objects

// MembershipKey is the key under which the Secret of the membership holds the key that encrypts.
const MembershipKey = "key"
