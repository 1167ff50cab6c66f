// Lints the chart of a folder with Helm's own parts and renders it with the values of a file, without Helm's program,
// which takes twice as long to build: what it would send to a cluster, as a list in JSON. Asks no cluster and no
// repository.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// One document of a template.
type document struct {
	Template string         `json:"template"`
	Document map[string]any `json:"document"`
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: chart CHART RELEASE NAMESPACE VALUES.yaml")
		os.Exit(2)
	}
	documents, err := render(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(documents); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func render(folder, release, namespace, file string) ([]document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	chart, err := loader.Load(folder)
	if err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	// Values that the schema refuses are told of here.
	all, err := util.ToRenderValues(chart, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	if err := linted(folder, namespace, values); err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return nil, err
	}
	return documents(rendered)
}

// An error of everything that Helm warns of; an icon is a matter of taste.
func linted(folder, namespace string, values map[string]any) error {
	var found []error
	for _, message := range lint.RunAll(folder, values, namespace).Messages {
		if message.Severity >= support.WarningSev {
			found = append(found, errors.New(message.Error()))
		}
	}
	return errors.Join(found...)
}

func documents(rendered map[string]string) ([]document, error) {
	names := make([]string, 0, len(rendered))
	for name := range rendered {
		names = append(names, name)
	}
	sort.Strings(names)
	var all []document
	for _, name := range names {
		if strings.HasSuffix(name, "NOTES.txt") {
			all = append(all, document{name, map[string]any{"text": rendered[name]}})
			continue
		}
		for _, text := range strings.Split(rendered[name], "\n---\n") {
			var one map[string]any
			if err := yaml.UnmarshalStrict([]byte(text), &one); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, text)
			}
			if one != nil {
				all = append(all, document{name, one})
			}
		}
	}
	return all, nil
}
