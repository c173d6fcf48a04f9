#!/bin/bash
# kernel.sh SUITE ARCH OUT: fetches the newest cloud kernel of a Debian release and writes its image to OUT. Packages lists and all
# else go into a cache of their own: neither the machine's apt nor its /boot changes.
set -euo pipefail
suite=$1 arch=$2 out=$(realpath -m "$3")
state=${XDG_CACHE_HOME:-$HOME/.cache}/goroutinereceiver/apt-$suite-$arch
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n 's#/debian/*$##p' | head -1)
mkdir -p "$state"/{lists/partial,cache/archives/partial,parts} "$(dirname "$out")"
touch "$state/status"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
cat >"$state/sources.list" <<-END
	deb [signed-by=$keys] ${mirror:-http://deb.debian.org}/debian $suite main
	deb [signed-by=$keys] ${mirror:-http://deb.debian.org}/debian-security $suite-security main
END
cat >"$state/apt.conf" <<-END
	APT::Architecture "$arch"; APT::Architectures { "$arch"; }; APT::Sandbox::User "root"; Acquire::Languages "none";
	Dir::State "$state"; Dir::State::Lists "$state/lists"; Dir::State::status "$state/status"; Dir::Cache "$state/cache";
	Dir::Etc::SourceList "$state/sources.list"; Dir::Etc::SourceParts "$state/parts";
END
export APT_CONFIG=$state/apt.conf
apt-get update -qq
image=$(apt-cache depends "linux-image-cloud-$arch" | sed -n 's/.*Depends: //p' | head -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -qq "$image")
dpkg -x "$work"/*.deb "$work/root"
cp "$work"/root/boot/vmlinuz* "$out.part"
mv "$out.part" "$out"
