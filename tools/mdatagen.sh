#!/bin/sh
# Runs mdatagen on the metadata.yaml of the current directory. mdatagen names the package of the generated tests after the folder,
# which is whatever a person cloned the repository to, so it runs in a link of the right name.
set -e
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
ln -s "$PWD" "$folder/goroutinereceiver"
cd "$folder/goroutinereceiver"
go tool -modfile=tools/go.mod mdatagen metadata.yaml
