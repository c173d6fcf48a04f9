#!/bin/sh
# Boots systemd with a copy of this machine's root, in namespaces of its own; what is written there is gone afterwards.
# $1 is an empty directory, $2 one that the test and install.sh share.
set -e
mount -t tmpfs tmpfs "$1"
root=$1/root
mkdir "$1/upper" "$1/work" "$root"
mount -t overlay overlay "$root" -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mkdir "$root/exchange"
mount --bind "$2" "$root/exchange"
rm -f "$root/usr/sbin/policy-rc.d" # by which images keep packages from starting services
cat >"$root/etc/systemd/system/install.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh -x /exchange/install.sh
StandardOutput=file:/exchange/log
StandardError=file:/exchange/log
UNIT
exec chroot "$root" env container=test /lib/systemd/systemd --system --unit=install.service --log-target=console --show-status=no
