# Installs the package, says how its service does, waits until the test has seen enough, and removes the package.
set -e
unit=otelcol-goroutine.service
exec 3>/exchange/events
tell() { echo "$*" >&3; }
trap 'tell end; systemctl poweroff --force --force' EXIT

sleep 600 | /exchange/parked 5 >/dev/null &
cp /exchange/environment /etc/default/otelcol-goroutine
dpkg --install /exchange/package.deb
tell enabled "$(systemctl is-enabled $unit)"
systemd-analyze verify /lib/systemd/system/$unit
pid=$(systemctl show --property MainPID --value $unit)
tell capabilities "$(grep CapEff /proc/$pid/status)"
tell bounding "$(grep CapBnd /proc/$pid/status)"
tell user "$(stat -c %u /proc/$pid)"
tell seccomp "$(grep Seccomp: /proc/$pid/status)"
tell writable "$(touch /proc/$pid/root/etc/written 2>/dev/null && echo yes || echo no)"
while [ ! -e /exchange/seen ]; do sleep 0.1; done
tell restarts "$(systemctl show --property NRestarts --value $unit)"

echo '# changed by the administrator' >>/etc/otelcol-goroutine/config.yaml
dpkg --remove otelcol-goroutine
tell removed "$(systemctl is-active $unit)" "$(ls /usr/bin/otelcol-goroutine 2>&1 | grep -c 'No such')" "$(tail -n 1 /etc/otelcol-goroutine/config.yaml)"
dpkg --purge otelcol-goroutine
tell purged "$(ls -d /etc/otelcol-goroutine /etc/systemd/system/multi-user.target.wants/$unit 2>/dev/null | wc -l)"
