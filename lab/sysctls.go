package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// kubeletSysctls are those that kubelet sets for the whole machine, network namespace or not.
var kubeletSysctls = []string{
	"vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops",
	"kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes",
}

func sysctlsFile(state string) string { return filepath.Join(state, "sysctls.json") }

// keepSysctls writes down what kubelet is about to change.
func keepSysctls(state string) error {
	values := map[string]string{}
	for _, name := range kubeletSysctls {
		data, err := os.ReadFile(sysctlFile(name))
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		values[name] = strings.TrimSpace(string(data))
	}
	data, err := json.Marshal(values)
	if err != nil {
		return err
	}
	return os.WriteFile(sysctlsFile(state), data, 0o644)
}

// restoreSysctls puts back what keepSysctls wrote down.
func restoreSysctls(state string) error {
	data, err := os.ReadFile(sysctlsFile(state))
	if errors.Is(err, os.ErrNotExist) {
		return nil // crashed before it came to that
	}
	if err != nil {
		return err
	}
	var values map[string]string
	if len(data) == 0 {
		return nil // crashed while writing, before any kubelet ran
	}
	if err := json.Unmarshal(data, &values); err != nil {
		return fmt.Errorf("reading what the machine's settings were: %w", err)
	}
	var errs []error
	for name, value := range values {
		errs = append(errs, writeSysctl(name, value))
	}
	return errors.Join(errs...)
}
