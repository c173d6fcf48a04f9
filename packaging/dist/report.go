package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// writeBOM writes a bill of materials in CycloneDX's JSON. It has no time and no serial number: equal executables have equal bills.
func writeBOM(w io.Writer, name, version string, modules []module) error {
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
		BOMRef: name, Type: cyclonedx.ComponentTypeApplication, Name: name, Version: version, Licenses: licenses([]string{"Apache-2.0"}),
	}}
	components := make([]cyclonedx.Component, 0, len(modules))
	for _, m := range modules {
		purl := fmt.Sprintf("pkg:golang/%s@%s", m.path, m.version)
		components = append(components, cyclonedx.Component{
			BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: m.path, Version: m.version, PackageURL: purl, Licenses: licenses(m.licenses),
		})
	}
	bom.Components = &components
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

func licenses(ids []string) *cyclonedx.Licenses {
	var all cyclonedx.Licenses
	for _, id := range ids {
		all = append(all, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: id}})
	}
	return &all
}

// writeReport writes a table of modules and their licenses.
func writeReport(w io.Writer, modules []module) error {
	table := csv.NewWriter(w)
	if err := table.Write([]string{"module", "version", "licenses"}); err != nil {
		return err
	}
	for _, m := range modules {
		if err := table.Write([]string{m.path, m.version, strings.Join(m.licenses, " ")}); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}

// texts returns the license files of all modules, each text once.
func texts(modules []module) string {
	var order []string
	of := map[string][]string{}
	for _, m := range modules {
		for _, text := range m.texts {
			if of[text] == nil {
				order = append(order, text)
			}
			of[text] = append(of[text], m.path+" "+m.version)
		}
	}
	var out strings.Builder
	for _, text := range order {
		fmt.Fprintf(&out, "%s\n\n%s\n\n%s\n\n", strings.Join(of[text], "\n"), text, strings.Repeat("-", 80))
	}
	return out.String()
}
