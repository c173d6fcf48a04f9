#!/bin/bash
# boot.sh KERNEL ARCH TREE COMMAND...: boots a kernel in qemu with the directory TREE as its initial file system, whose /init runs COMMAND
# (no spaces in its arguments). Prints what the machine prints and exits with the command's status: 126 if the machine died, 124 if it
# took longer than $TIMEOUT seconds.
set -uo pipefail
kernel=$1 arch=$2 tree=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$tree" && find . -print0 | cpio --null -o -H newc -R 0:0 --quiet) | gzip -1 >"$work/initrd"
# Software emulation by one thread: with more, amd64 guests lose traps.
case $arch in
amd64) machine=(qemu-system-x86_64 -M q35 -cpu max) console=ttyS0 ;;
arm64) machine=(qemu-system-aarch64 -M virt -cpu "${CPU:-cortex-a72}") console=ttyAMA0 ;;
*) echo "no machine for $arch" >&2; exit 2 ;;
esac
timeout -k 5 "${TIMEOUT:-300}" "${machine[@]}" -accel tcg,thread=single -smp 2 -m "${MEMORY:-1024}" -nodefaults -no-reboot -display none \
	-serial stdio -kernel "$kernel" -initrd "$work/initrd" -append "console=$console panic=-1 oops=panic quiet -- $*" </dev/null 2>&1 |
	tr -d '\r' | tee "$work/out"
[ "${PIPESTATUS[0]}" = 124 ] && exit 124
exit "$(sed -n 's/^VM-EXIT \([0-9]*\).*/\1/p' "$work/out" | grep . || echo 126)"
