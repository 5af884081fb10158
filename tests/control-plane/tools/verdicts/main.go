// Command verdicts tells what GitOps tools say about an object: kstatus, by which Flux and its `wait` judge, and Argo CD's
// own Lua machine with the customizations that are to be put into argocd-cm.
//
//	verdicts ARGOCD-CM.yaml [ACTION] < objects.json > verdicts.json
//
// It reads an array of objects and prints an array of verdicts; with an action, what the object is after it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"

	appv1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const prefix = "resource.customizations."

// verdict is what is said about one object.
type verdict struct {
	Kstatus        string   `json:"kstatus"`
	KstatusMessage string   `json:"kstatusMessage"`
	Health         string   `json:"health"`
	HealthMessage  string   `json:"healthMessage"`
	Actions        []string `json:"actions"`
	// After the action that was asked for.
	Object map[string]any `json:"object,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return fmt.Errorf("usage: verdicts ARGOCD-CM.yaml [ACTION] < objects.json")
	}
	overrides, err := customizations(args[0])
	if err != nil {
		return err
	}
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	verdicts := make([]verdict, 0, len(objects))
	for _, object := range objects {
		action := ""
		if len(args) == 2 {
			action = args[1]
		}
		judged, err := judge(overrides, &unstructured.Unstructured{Object: whole(object)}, action)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, judged)
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

// customizations reads the keys of argocd-cm as Argo CD does: resource.customizations.TYPE.GROUP_KIND.
func customizations(file string) (map[string]appv1.ResourceOverride, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.UnmarshalStrict(text, &struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   map[string]any    `json:"metadata"`
		Data       map[string]string `json:"data"`
	}{}); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &configMap); err != nil {
		return nil, err
	}
	overrides := map[string]appv1.ResourceOverride{}
	for key, value := range configMap.Data {
		what, of, found := strings.Cut(strings.TrimPrefix(key, prefix), ".")
		if !strings.HasPrefix(key, prefix) || !found {
			return nil, fmt.Errorf("%s: the key %s is not one of customizations", file, key)
		}
		of = strings.Replace(of, "_", "/", 1)
		override := overrides[of]
		switch what {
		case "health":
			override.HealthLua = value
		case "actions":
			override.Actions = value
		default:
			return nil, fmt.Errorf("%s: %s is not known", file, key)
		}
		overrides[of] = override
	}
	return overrides, nil
}

func judge(overrides map[string]appv1.ResourceOverride, object *unstructured.Unstructured, action string) (verdict, error) {
	who := object.GetKind() + "/" + object.GetName()
	computed, err := status.Compute(object)
	if err != nil {
		return verdict{}, fmt.Errorf("%s: kstatus: %w", who, err)
	}
	judged := verdict{Kstatus: string(computed.Status), KstatusMessage: computed.Message}
	health, err := lua.ResourceHealthOverrides(overrides).GetResourceHealth(object)
	if err != nil {
		return verdict{}, fmt.Errorf("%s: health.lua: %w", who, err)
	}
	if health != nil {
		judged.Health, judged.HealthMessage = string(health.Status), health.Message
	}
	machine := lua.VM{ResourceOverrides: overrides}
	discovery, err := machine.GetResourceActionDiscovery(object)
	if err != nil {
		return verdict{}, fmt.Errorf("%s: %w", who, err)
	}
	available, err := machine.ExecuteResourceActionDiscovery(object, discovery)
	if err != nil {
		return verdict{}, fmt.Errorf("%s: discovery.lua: %w", who, err)
	}
	for _, one := range available {
		if !one.Disabled {
			judged.Actions = append(judged.Actions, one.Name)
		}
	}
	if action != "" {
		judged.Object, err = act(machine, object, action)
	}
	sort.Strings(judged.Actions)
	return judged, err
}

// act carries out one action as Argo CD does, and returns the one object that it changes.
func act(machine lua.VM, object *unstructured.Unstructured, action string) (map[string]any, error) {
	definition, err := machine.GetResourceAction(object, action)
	if err != nil {
		return nil, err
	}
	impacted, err := machine.ExecuteResourceAction(object, definition.ActionLua, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("%s: it is to patch the object and nothing else", action)
	}
	return impacted[0].UnstructuredObj.Object, nil
}

// whole makes integers of the floats that JSON's decoder makes, as a client of Kubernetes does.
func whole(object map[string]any) map[string]any {
	text, err := json.Marshal(object)
	if err != nil {
		return object
	}
	decoded := &unstructured.Unstructured{}
	if decoded.UnmarshalJSON(text) != nil {
		return object
	}
	return decoded.Object
}
